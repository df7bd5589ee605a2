"""The words of a report, explained to who reads one for the first time."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    "membership inference attack": "tells whether a record was in a model's training data; a defense should prevent it",
    "member, non-member": "a record the model was trained on; one it was not, from the same source",
    "target, shadow model": "the model under attack; models that the attacker trains to learn from",
    "adaptive": "the attacker knows the defense and trains shadow models under it; non-adaptive: without it",
    "label-only, black-box, white-box": "the attacker sees the predicted class; all outputs; the network itself",
    "AUC": "the chance that the attack ranks a member above a non-member: 50% is guessing, 100% tells all apart",
    "TPR at 1% FPR": "the share of members that are found while 1% of the non-members are wrongly called members",
    "95% interval": "where the value would lie, with other records and trainings, in 95 of 100 cases",
    "not distinguishable": "the difference is within what chance does; more runs may tell",
    "Pareto front": "the cells that no other beats in accuracy and in privacy at once",
    "overlap": "how much the histograms of members and non-members have in common: 1 is alike, which hides membership",
    "collapsed": "nothing was learnt, members neither: always naming one class does as well, and attacks say nothing",
}
