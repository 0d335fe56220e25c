import json
from dataclasses import fields, replace

import pytest

from cs3d_ros.errors import Cs3dError
from cs3d_ros.training.errors import TrainingError
from cs3d_ros.training.settings import PRESETS, TrainingSettings, preset


def test_the_paper_trains_by_adam_at_1e_4_in_batches_of_16_at_112_pixels():
    paper = preset("paper")
    assert (paper.learning_rate, paper.weight_decay, paper.schedule) == (1e-4, 0.0, "constant")
    assert (paper.batch, paper.sizes, paper.augmentation) == (16, ((0, 112),), "none")
    assert (paper.network, paper.label_smoothing) == ("cs3d", 0.0)
    assert paper.background_activity_us == 0


@pytest.mark.parametrize("name", PRESETS)
def test_settings_survive_json(name):
    settings = replace(preset(name), options={"classifier": "mlp"}, window_ms=250)
    assert TrainingSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_json_that_lacks_a_setting_has_its_default():
    assert TrainingSettings.from_dict({"epochs": 3}) == TrainingSettings(epochs=3)


def test_the_input_grows_in_the_epochs_that_sizes_name():
    settings = TrainingSettings(sizes=((0, 40), (2, 56), (3, 112)), epochs=5)
    assert [settings.size_in(epoch) for epoch in range(5)] == [40, 40, 56, 112, 112]
    assert settings.size == 112


def test_the_network_takes_as_many_channels_as_the_representation_has():
    settings = TrainingSettings(representation="polarity_counts", options={"dropout": 0.1})
    assert settings.network_options() == {"dropout": 0.1, "in_channels": 2}
    with pytest.raises(TrainingError, match="in_channels is 3, but polarity_counts has 2"):
        replace(settings, options={"in_channels": 3}).network_options()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "vgg"}, "unknown network 'vgg'.*cs3d"),
        ({"network": ["cs3d"]}, "network is"),
        ({"representation": "frames"}, "unknown representation 'frames'.*voxel_grid"),
        ({"augmentation": "mixup"}, "unknown augmentation 'mixup'.*eventdrop"),
        ({"precision": "fp8"}, "unknown precision 'fp8'.*bf16-mixed"),
        ({"schedule": "step"}, "unknown schedule 'step'.*one-cycle"),
        ({"options": [1]}, "options is"),
        ({"window_ms": 0}, "window_ms is 0.0; give a number above 0"),
        ({"window_ms": float("nan")}, "window_ms is nan"),
        ({"learning_rate": -1e-4}, "learning_rate is -0.0001"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
        ({"epochs": 0}, "epochs is 0; give a whole number from 1"),
        ({"epochs": 2.5}, "epochs is 2.5"),
        ({"batch": True}, "batch is True"),
        ({"batch": 2, "micro_batch": 4}, "micro batch of 4 windows is larger than the batch of 2"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
        ({"expression_share": 1.5}, "expression_share is 1.5"),
        ({"rise_share": -0.5}, "rise_share is -0.5"),
        ({"rise_share": 0.5, "expression_share": None}, "without an expression_share"),
        ({"background_activity_us": -1}, "background_activity_us is -1; give a whole number from"),
        ({"background_activity_us": 1_000_001}, "from 0 to 1000000"),
        ({"background_activity_us": 5e3}, "background_activity_us is 5000.0"),
        ({"moving": "yes"}, "moving is 'yes'"),
        ({"seed": -1}, "seed is -1"),
        ({"sizes": 112}, "sizes is 112; give pairs"),
        ({"sizes": ()}, r"sizes begin in epochs \[\]"),
        ({"sizes": ((1, 112),)}, r"sizes begin in epochs \[1\]"),
        ({"sizes": ((0, 56), (0, 112))}, r"sizes begin in epochs \[0, 0\]"),
        ({"sizes": ((0, 56), (9, 112)), "epochs": 9}, r"epochs \[0, 9\].*end after 9 epochs"),
        ({"sizes": ((0, 16),)}, "a size of 16 from epoch 0 on.*from 32 to 224"),
        ({"sizes": ((0, 112.5),)}, "a size of 112.5"),
    ],
)
def test_what_cannot_be_trained_with_is_refused_by_name(change, message):
    with pytest.raises(Cs3dError, match=message):
        replace(TrainingSettings(), **change)


def test_unknown_settings_and_presets_are_refused_by_name():
    with pytest.raises(TrainingError, match="unknown settings colour; expected some of network"):
        TrainingSettings.from_dict({"colour": 1})
    with pytest.raises(TrainingError, match="not a JSON object"):
        TrainingSettings.from_dict([1])
    with pytest.raises(TrainingError, match="unknown preset 'fast'; choose one of paper, tuned"):
        preset("fast")


def test_every_setting_is_explained():
    told = TrainingSettings.__doc__
    assert [f.name for f in fields(TrainingSettings) if f"\n        {f.name}: " not in told] == []
