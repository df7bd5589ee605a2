"""Whatever all jobs of a process share is compared and put back; what libraries do at their first use is no change."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

import miabench.training.loop
import miabench.training.task
from miabench.plugins.discover import discover
from miabench.plugins.process_state import SETTINGS, ProcessChangedError, ProcessState, isolated

HOW = {
    "torch's default dtype (torch.float32 -> torch.float64)": "torch.set_default_dtype(torch.float64)",
    "torch's default device (cpu -> meta)": "torch.set_default_device('meta')",
    "torch's gradient mode (True -> False)": "torch.set_grad_enabled(False)",
    "torch's inference mode (False -> True)": "KEPT.append(torch.inference_mode()); KEPT[0].__enter__()",
    "torch's number of threads": "torch.set_num_threads(torch.get_num_threads() + 1)",
    "torch.backends.cudnn.allow_tf32": "torch.backends.cudnn.allow_tf32 = not torch.backends.cudnn.allow_tf32",
    "torch.backends.cudnn.enabled (True -> False)": "torch.backends.cudnn.enabled = False",
    "torch.backends.cudnn.benchmark (False -> True)": "torch.backends.cudnn.benchmark = True",
    "torch.backends.cudnn.deterministic (False -> True)": "torch.backends.cudnn.deterministic = True",
    "torch.backends.mkldnn.enabled (True -> False)": "torch.backends.mkldnn.set_flags(False)",
    "torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction": (
        "torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False"
    ),
    "torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction": (
        "torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False"
    ),
    "torch's precision of float32 products (highest -> medium)": "torch.set_float32_matmul_precision('medium')",
    "torch's deterministic algorithms (0 -> 2)": "torch.use_deterministic_algorithms(True)",
    "torch's detection of anomalies": "torch.autograd.set_detect_anomaly(True)",
    "torch's flushing of denormal numbers (False -> True)": "torch.set_flush_denormal(True)",
    "autocast on cpu": "torch.set_autocast_enabled('cpu', True)",
    "autocast on cuda": "torch.set_autocast_dtype('cuda', torch.bfloat16)",
    "the hooks of all modules (torch.nn.modules.module._global_backward_hooks)": (
        "torch.nn.modules.module.register_module_full_backward_hook(print)"
    ),
    "numpy's handling of errors": "np.seterr(all='raise')",
    "numpy's print options": "np.set_printoptions(precision=2)",
    "torch.relu": "torch.relu = torch.tanh",
    "torch.float": "torch.float = torch.float64",
    "torch.nn.functional.relu": "del torch.nn.functional.relu",
    "torch.nn.Linear": "torch.nn.Linear = torch.nn.Identity",
    "torch.optim.sgd.SGD.step": "torch.optim.SGD.step = lambda self, closure=None: None",
    "torch.Tensor.mul_": "torch.Tensor.mul_ = torch.Tensor.add_",
    "torch.Tensor.backward": "torch.Tensor.backward = None",
    "numpy.random.rand": "np.random.rand = None",
    "numpy.log": "np.log = np.log2",
    "miabench.training.task.zip": "miabench.training.task.zip = None",
    "miabench.training.loop.train_with_criterion": "miabench.training.loop.train_with_criterion = None",
    "miabench.training.task.Task.batches": "miabench.training.task.Task.batches = None",
}


@pytest.mark.parametrize(("what", "change"), HOW.items(), ids=HOW.values())
def test_each_change_is_named_and_put_back(what, change):
    names = {"torch": torch, "np": np, "miabench": miabench, "KEPT": []}
    before = ProcessState()
    with pytest.raises(ProcessChangedError) as raised, isolated("the code of mine.py", seed=0):
        exec(change, names)
    assert str(raised.value).startswith("the code of mine.py changed ")
    assert what in str(raised.value).split(", which all jobs of a process share; instead: ")[0]
    assert before.changes() == {}


def test_every_setting_is_tried():
    tried = [setting.name for setting in SETTINGS if any(what.startswith(setting.name) for what in HOW)]
    rest = {setting.name for setting in SETTINGS} - set(tried)
    assert all("fp32_precision" in name or "_hooks" in name for name in rest), rest


def test_contradictory_spellings_of_tf32_are_put_back():
    """The older spelling cannot be read then."""
    if not hasattr(torch.backends.cudnn, "conv"):
        pytest.skip("this torch has one spelling only")
    before = ProcessState()
    refused = pytest.raises(ProcessChangedError, match=r"torch.backends.cudnn.conv.fp32_precision \(\w+ -> ieee\)")
    with refused, isolated("it", seed=0):
        torch.backends.cudnn.conv.fp32_precision = "ieee"
    assert before.changes() == {}


def test_the_first_lines_say_enough():
    refused = pytest.raises(ProcessChangedError, match=r"changed numpy.\w+, numpy.\w+, numpy.\w+ and 2 others, which")
    with refused, isolated("it", seed=0):
        vars(np).update(dict.fromkeys(["exp", "log", "sin", "cos", "tan"]))
    assert np.exp(0) == 1


def test_the_environment_and_the_filters_of_warnings_are_put_back_without_a_word():
    environ, filters = dict(os.environ), list(warnings.filters)
    with isolated("it", seed=0):
        os.environ["A_LIBRARY"] = "was imported"
        del os.environ["PATH"]
        warnings.simplefilter("error")
    assert (dict(os.environ), warnings.filters) == (environ, filters)


def test_an_error_of_its_own_is_kept():
    with pytest.raises(ZeroDivisionError), isolated("it", seed=0):
        raise ZeroDivisionError


@pytest.mark.parametrize("change", ["torch.set_default_dtype(torch.float64)", "torch.nn.functional.relu = torch.tanh"])
def test_a_plugin_file_that_changes_its_process_is_refused(tmp_path, change):
    file = tmp_path / "loud.py"
    file.write_text(f"import torch\nfrom miabench import Defense\n{change}\nclass Loud(Defense, frozen=True): ...\n")
    before = ProcessState()
    for _ in range(2):
        with pytest.raises(
            miabench.UserError, match=rf"^importing {file} changed torch.*, which all jobs of a process"
        ):
            discover([file])
    assert before.changes() == {}


LIBRARIES = """
import matplotlib.pyplot, pandas, scipy.stats, sklearn.linear_model, torchvision
import torch._dynamo, torch._inductor
import numpy as np
import torch
from miabench import Defense
for kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad):
    kind([torch.zeros(1, requires_grad=True)]).step()
torch.compile(lambda x: x)
torch.manual_seed(1)
np.random.seed(1)
class Quiet(Defense, frozen=True): ...
"""


@pytest.mark.slow
def test_what_libraries_do_when_they_are_first_used_is_no_change(tmp_path):
    """In a new process, where none of them is loaded yet."""
    (tmp_path / "quiet.py").write_text(LIBRARIES)
    code = "import sys; from miabench.plugins.discover import discover; print(discover([sys.argv[1]]).files)"
    done = subprocess.run([sys.executable, "-P", "-c", code, tmp_path / "quiet.py"], capture_output=True, text=True)
    assert "quiet.py" in done.stdout, done.stderr
