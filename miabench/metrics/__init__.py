"""What an attack's scores are worth: `miabench.metrics.auc(scores, members)` and others, each with a 95% interval."""

from miabench.metrics.estimates import VERSION as VERSION
from miabench.metrics.estimates import ClassThresholds as ClassThresholds
from miabench.metrics.estimates import Estimate as Estimate
from miabench.metrics.estimates import accuracy as accuracy
from miabench.metrics.estimates import auc as auc
from miabench.metrics.estimates import balanced_accuracy as balanced_accuracy
from miabench.metrics.estimates import per_class_thresholds as per_class_thresholds
from miabench.metrics.estimates import threshold as threshold
from miabench.metrics.estimates import tpr_at_fpr as tpr_at_fpr
