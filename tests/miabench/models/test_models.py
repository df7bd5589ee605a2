"""What holds for every model: a new file gets these tests by itself."""

import pytest
import torch

import miabench
from miabench import Domain
from miabench.plugins.discover import discover
from miabench.seeds import global_stream
from miabench.store.hashed import hashed

MODELS = [found.name for found in discover().all("model") if found.source == "built-in"]
FACTS = {  # parameters for RGB images of 32 x 32 (han: vectors of 50) with 10 and with 100 classes, feature dimension
    "mlp": (789_258, 812_388, 256),
    "cnn": (98_970, 110_580, 128),
    "vgg11": (9_756_426, 9_802_596, 512),
    "resnet18": (11_173_962, 11_220_132, 512),
    "densenet121": (1_020_550, 1_057_090, 405),
    "googlenet": (6_310_314, 6_402_564, 1024),
    "resnet20": (269_722, 275_572, 64),
    "wrn28-2": (1_467_610, 1_479_220, 128),
    "han": (97_610, 106_700, 100),
}
ONLY_32 = ["vgg11", "resnet18", "densenet121", "googlenet", "resnet20", "wrn28-2"]


def plugin(name, **params):
    return discover().get("model", name).build(params)


def test_every_model_has_its_facts():
    assert sorted(MODELS) == sorted(FACTS)


@pytest.mark.parametrize("name", MODELS)
def test_parameter_counts_and_feature_dim(name, build):
    for num_classes, count in zip((10, 100), FACTS[name], strict=False):
        net = build(name, num_classes)
        assert sum(p.numel() for p in net.parameters()) == count
        assert net.feature_dim == FACTS[name][2]


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_of_two_goes_forward_and_backward(name, build, batch):
    net = build(name, num_classes=7)
    logits, features = net(batch(name))
    assert logits.shape == (2, 7)
    assert features.shape == (2, net.feature_dim)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 6])).backward()
    for parameter_name, parameter in net.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name


def tensors_in(output):
    """The tensors of a module's output; GRUs give tuples of them."""
    if isinstance(output, tuple):
        return [tensor for part in output for tensor in tensors_in(part)]
    return [] if output is None else [output]


@pytest.mark.parametrize("name", MODELS)
def test_nothing_works_in_place(name, build, batch):
    net = build(name)
    assert [module for module in net.modules() if getattr(module, "inplace", False)] == []
    seen = [("x", batch(name), 0)]
    for module_name, module in net.named_modules():
        if module_name:

            def keep(_module, _inputs, output, module_name=module_name):
                seen.extend((module_name, tensor, tensor._version) for tensor in tensors_in(output))

            module.register_forward_hook(keep)
    net(seen[0][1])
    assert len(seen) > len(list(net.children()))
    assert [module_name for module_name, tensor, version in seen if tensor._version != version] == []


@pytest.mark.parametrize("name", MODELS)
def test_the_seed_decides_the_weights(name, build):
    first, again, other = (build(name, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", MODELS)
def test_answers_of_eval_mode_do_not_depend_on_the_batch(name, build, batch):
    net = build(name).double().eval()
    x = batch(name)
    x = x.double() if x.is_floating_point() else x
    with torch.no_grad():
        together = net(x)
        alone = [torch.cat(parts) for parts in zip(net(x[:1]), net(x[1:]), strict=True)]
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_dropout_comes_before_the_feature_of_vgg11_and_after_that_of_googlenet(build, batch):
    x = batch("vgg11")
    vgg11, googlenet = build("vgg11"), build("googlenet")  # in training mode
    with global_stream(0, "dropout"):
        (_, a), (_, b) = vgg11(x), vgg11(x)
        (y, c), (z, d) = googlenet(x), googlenet(x)
    assert not torch.equal(a, b)
    assert torch.equal(c, d)
    assert not torch.equal(y, z)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "han"])
def test_grey_images(name, build, batch):
    logits, _ = build(name, shape=(1, 32, 32))(batch(name, (1, 32, 32)))
    assert logits.shape == (2, 10)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 28, 28), (4, 17, 40)])
def test_cnn_takes_images_of_many_sizes(shape, build, batch):
    logits, features = build("cnn", shape=shape)(batch("cnn", shape))
    assert (logits.shape, features.shape) == ((2, 10), (2, 128))


@pytest.mark.parametrize("shape", [(446,), (1, 8, 8), (5, 7)])
def test_mlp_takes_any_shape(shape, build, batch):
    logits, features = build("mlp", shape=shape, hidden=(32, 16))(batch("mlp", shape))
    assert (logits.shape, features.shape) == ((2, 10), (2, 16))
    assert features.min() >= 0


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        ((), "model mlp: hidden = (): Tuple should have at least 1 item"),
        ((64, 0), "model mlp: hidden.1 = 0: Input should be greater than 0"),
    ],
)
def test_mlp_refuses_hidden_widths(hidden, message):
    with pytest.raises(miabench.UserError) as error:
        plugin("mlp", hidden=hidden)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("name", ONLY_32)
@pytest.mark.parametrize(
    ("shape", "words"),
    [((446,), "446"), ((3, 28, 28), "3 x 28 x 28"), ((32, 32), "32 x 32"), ((3, 32, 31), "3 x 32 x 31")],
)
def test_models_for_32x32_say_why_not(name, shape, words):
    assert plugin(name).unsupported(Domain(shape, 10)) == (
        f"it takes images of C x 32 x 32, but these records are {words}; resize images to 32 x 32, "
        "or choose cnn (images of any size from 8 x 8) or mlp (any shape)"
    )


@pytest.mark.parametrize(("shape", "words"), [((446,), "446"), ((3, 7, 32), "3 x 7 x 32"), ((3, 32, 7), "3 x 32 x 7")])
def test_cnn_says_why_not(shape, words):
    assert plugin("cnn").unsupported(Domain(shape, 10)) == (
        f"it takes images of C x H x W with H and W of 8 or more, but these records are {words}; choose mlp (any shape)"
    )


@pytest.mark.parametrize("shape", [(10, 40), (3, 32, 32)])
@pytest.mark.parametrize("name", [name for name in MODELS if name != "han"])
def test_models_for_numbers_refuse_token_ids(name, shape):
    assert plugin(name).unsupported(Domain(shape, 10, vocabulary=99)) == (
        "it takes numbers, but these records are token ids, which only name words; choose han (documents)"
    )


def test_an_unsupported_network_is_refused_by_name():
    with pytest.raises(
        miabench.UserError, match=r"^model vgg11: it takes images of C x 32 x 32, but these records are 446;"
    ):
        miabench.create_model("vgg11", num_classes=10, input_shape=(446,))


WIDE = {  # parameters for RGB images and 10 classes, by width: 9 in out + 2 out of a convolution with BatchNorm, ...
    "cnn": (lambda a, b, c, d: conv(3, a) + conv(a, b) + conv(b, c) + conv(c, d) + 10 * (d + 1), (16, 32, 64, 128)),
    "resnet20": (
        lambda a, b, c: conv(3, a) + 6 * conv(a, a) + conv(a, b) + 5 * conv(b, b) + conv(b, c) + 5 * conv(c, c)
        + 10 * (c + 1),
        (16, 32, 64),
    ),
    "resnet18": (
        lambda a, b, c, d: conv(3, a) + 4 * conv(a, a)
        + sum(conv(n, m) + 3 * conv(m, m) + n * m + 2 * m for n, m in ((a, b), (b, c), (c, d))) + 10 * (d + 1),
        (64, 128, 256, 512),
    ),
}  # fmt: skip


def conv(inputs, outputs):
    """Weights of a 3 x 3 convolution, and scales and shifts of the normalisation behind it."""
    return 9 * inputs * outputs + 2 * outputs


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("width", [0.25, 1.0, 1.5])
def test_width_multiplies_the_channels(name, width, build, batch):
    count, channels = WIDE[name]
    channels = [int(c * width) for c in channels]
    net = build(name, width=width)
    assert sum(p.numel() for p in net.parameters()) == count(*channels)
    logits, features = net(batch(name))
    assert (logits.shape, features.shape) == ((2, 10), (2, channels[-1]))
    assert net.feature_dim == channels[-1]


@pytest.mark.parametrize("name", WIDE)
def test_the_narrowest_networks_work(name, build, batch):
    assert build(name, width=1e-3).feature_dim == 1
    assert build(name, width=1e-3).eval()(batch(name))[0].isfinite().all()


@pytest.mark.parametrize("name", WIDE)
def test_a_width_of_one_is_in_no_key(name):
    """What was stored before there was a width is found again."""
    assert hashed(plugin(name)) == hashed(plugin(name, width=1)) == {}
    assert hashed(plugin(name, width=2)) == {"width": 2.0}
