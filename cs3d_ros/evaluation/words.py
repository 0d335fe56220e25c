"""What an evaluation says in sentences, for the report. Plain text; whoever shows it escapes it."""

from __future__ import annotations

from collections.abc import Iterator

from cs3d_ros.decision import Decision
from cs3d_ros.evaluation.evaluate import Evaluation
from cs3d_ros.evaluation.scores import Scores
from cs3d_ros.evaluation.stream_scores import StreamTotals
from cs3d_ros.evaluation.summary import percent, seconds_as_ms

GROUPS = {
    "light": "By light",
    "intensity": "By intensity: full expressions, and micro-expressions (short and weak)",
    "people": "By kind of person: modelled after a photograph, or drawn at random",
    "place": "By place: windows wholly within an apex, where the face is held still, and others",
}

_RENDERED = "facekit_sha256"


def data(evaluation: Evaluation) -> str:
    """What it was evaluated on."""
    content = evaluation.data
    if content["kind"] == "recording":
        return f"the recording {content['name']}"
    return f"the data set {content['name']}, part {content['part']}"


def warnings(evaluation: Evaluation) -> Iterator[str]:
    """What a reader must know before any number."""
    if evaluation.model["provenance"].get("weights") == "random":
        yield "This network was never trained: its weights are random, and so is what it says."
    if evaluation.data.get("part") == "train":
        yield (
            "These are data to train on. A network that was trained on them knows them by heart; "
            "the numbers say nothing about anybody else."
        )
    if evaluation.data.get("part") == "validation":
        yield (
            "These are data to choose settings by. A network that was chosen for its numbers here "
            "looks better here than on data that nobody has chosen by."
        )


def introduction(evaluation: Evaluation) -> Iterator[str]:
    """What this is all about."""
    model = evaluation.model
    labels = ", ".join(model["labels"])
    yield (
        "An event camera does not take pictures. Each of its pixels tells when it became brighter "
        f"or darker. The network {model['name']} looks at {model['window_ms']:g} ms of such events "
        f"of a face, called a window, and gives each of {len(model['labels'])} expressions a "
        f"probability: {labels}. What it says is the most probable one; how probable it is is its "
        "confidence."
    )
    content = evaluation.data
    if content["kind"] == "data set" and len(content["parts"]) > 1:
        others = [part for part in content["parts"] if part != content["part"]]
        yield (
            f"The data set has the parts {', '.join(content['parts'])}. The part {content['part']} "
            f"has {content['clips']:,} clips of {content['people']} people, none of whom is in "
            f"{' or '.join(others)}."
        )


def headlines(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """The most important numbers, each with what it is."""
    scores = evaluation.clips
    if scores is not None:
        interval_text = f" (95 % interval over people: {interval(scores)})" * (scores.people > 1)
        yield (
            percent(scores.accuracy),
            f"of {scores.count:,} clips recognised{interval_text}; naming always the same "
            f"expression would give {percent(scores.chance)}",
        )
        lights = scores.groups.get("light", {})
        if {"sufficient", "insufficient"} <= lights.keys():
            yield (
                percent(lights["insufficient"].accuracy),
                "of the clips in insufficient light recognised, and "
                f"{percent(lights['sufficient'].accuracy)} of those in sufficient light",
            )
    if evaluation.windows is not None:
        yield (
            percent(evaluation.windows.accuracy),
            f"of {evaluation.windows.count:,} windows from all over the clips recognised",
        )
    if evaluation.pooled is not None:
        totals = evaluation.pooled.totals
        full = evaluation.pooled.by_intensity.get("full")
        also = f"; {percent(full.share_found)} of the {full.shown} full ones" if full else ""
        if totals.shown:
            yield (
                percent(totals.share_found),
                f"of {totals.shown} expressions in continuous recordings found{also}",
            )
        if totals.found:
            yield (
                seconds_as_ms(totals.delay_median_s),
                "from the onset of an expression to the first message that says it (median); "
                f"90 % within {seconds_as_ms(totals.delay_p90_s)}",
            )
        if totals.false_alarms_per_min is not None:
            yield (
                f"{totals.false_alarms_per_min:.2f}",
                f"false alarms a minute: {totals.false_alarms} in {totals.duration_s / 60:.1f} min",
            )


def of_scores(scores: Scores, what: str) -> str:
    """The measures of clips or windows in one paragraph."""
    text = (
        f"Of {scores.count:,} {what} of {scores.people} people, {percent(scores.accuracy)} were "
        "recognised."
    )
    if scores.accuracy_low is not None:
        text += f" The 95 % interval over people is {interval(scores)}."
    text += (
        f" The balanced accuracy is {percent(scores.balanced_accuracy)}, the macro F1 "
        f"{percent(scores.macro_f1)}. On average, confidence and accuracy are "
        f"{100 * scores.ece:.1f} points apart (calibration error); the Brier score is "
        f"{scores.brier:.3f}, the mean negative log-likelihood {scores.nll:.3f}."
    )
    worst = [c for c in scores.per_class if c.recall is not None]
    worst.sort(key=lambda c: c.recall or 0.0)
    return f"{text} The least often recognised is {worst[0].label} ({percent(worst[0].recall)})."


def of_streams(totals: StreamTotals) -> str:
    """The measures of recordings in one paragraph."""
    minutes = f"{totals.duration_s / 60:.1f} minutes"
    alarms = (
        f"{totals.false_alarms} false alarms, {totals.false_alarms_in_neutral} of them while no "
        "expression was shown"
    )
    if totals.said_in_neutral is not None:
        alarms += f", when {percent(totals.said_in_neutral)} of the messages say one all the same"
    if not totals.shown:
        return f"In {minutes} no expression was shown. There were {alarms}."
    text = f"In {minutes}, {totals.found} of {totals.shown} expressions were found."
    if totals.found:
        text += (
            f" Half of those within {seconds_as_ms(totals.delay_median_s)} of their onset, 90 % "
            f"within {seconds_as_ms(totals.delay_p90_s)}; {totals.early} were said already when "
            "they came, which is luck."
        )
    text += f" There were {alarms}. During {totals.confused} expressions, another one was said."
    if totals.outside:
        text += f" {totals.outside} labelled expressions lie outside of the recordings."
    return text


def interval(scores: Scores) -> str:
    """The 95 % interval of the accuracy; a dash where there is none."""
    if scores.accuracy_low is None or scores.accuracy_high is None:
        return "–"
    return f"{100 * scores.accuracy_low:.1f}–{percent(scores.accuracy_high)}"


def caveats(evaluation: Evaluation) -> Iterator[str]:
    """What must not be read into the numbers."""
    content, settings = evaluation.data, evaluation.settings
    if _RENDERED in content.get("settings", {}):
        yield (
            "The faces are rendered and the event camera is simulated. No real face and no real "
            "camera was seen, so that nothing is known about how well it works with those."
        )
    yield (
        "They hold for people, cameras, light and movements like those of these data, and for "
        "others only as far as these are alike."
    )
    yield ("An expression is what a face does. It does not tell what a person feels or intends.")
    if evaluation.clips is not None:
        yield (
            "Clip by clip, it is known when the expression comes, and the window is put there. In "
            "use nobody knows: see the continuous recordings."
        )
        yield (
            "The intervals tell how much depends on which people were drawn. They do not tell how "
            "much depends on the training's seed or on the data set."
        )
        yield (
            "Groups that are not listed were not looked at: nothing is known about differences by "
            "age, gender or colour of skin."
        )
    if evaluation.pooled is not None:
        subjects = {stream.subject for stream in evaluation.streams if stream.subject}
        who = f" of {len(subjects)} people" if len(subjects) > 1 else ""
        yield (
            f"{len(evaluation.streams)} recordings{who} are few: the shares, delays and alarms of "
            "single expressions rest on a handful of cases."
            if len(evaluation.streams) > 1
            else "One recording is one person on one day: another may be very different."
        )
        yield (
            "Delays are on the recording's clock: the time that the network itself takes to answer "
            "comes on top. Its windows come every "
            f"{settings['hop_ms']:g} ms, so that no delay is exact to less."
        )
        if not any(evaluation.pooled.by_intensity):
            yield (
                "The labels of the recordings do not tell full from micro-expressions (short and "
                "weak ones), so that these shares are of both together."
            )
        if any(settings[name] != value for name, value in Decision().settings().items()):
            yield (
                "The rule that turns probabilities into messages has settings of its own. If they "
                "were chosen by these very recordings, the numbers look better than they are."
            )


def glossary(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """One sentence for each number."""
    if evaluation.clips is not None or evaluation.windows is not None:
        yield from _GLOSSARY_OF_SCORES
    if evaluation.pooled is not None:
        yield from _GLOSSARY_OF_STREAMS


_GLOSSARY_OF_SCORES = (
    ("Accuracy", "The share of clips (or windows) that were recognised as what they show."),
    (
        "95 % interval",
        "Where the accuracy lies in 95 of 100 repetitions with as many people drawn anew from "
        "these people, each with all of their clips.",
    ),
    ("Recall", "Of the clips that show an expression, the share that was recognised as it."),
    ("Precision", "Of the clips that were recognised as an expression, the share that shows it."),
    ("F1", "One number for precision and recall, their harmonic mean."),
    (
        "Balanced accuracy",
        "The mean recall: every expression counts the same, however often shown.",
    ),
    ("Macro F1", "The mean F1 of all expressions that are shown."),
    (
        "Calibration error",
        "How far confidence and accuracy are apart on average, over 15 ranges of confidence: 0 % "
        "means that of what is said with 80 % confidence, 80 % is right.",
    ),
    (
        "Brier score",
        "The mean squared distance of the probabilities from the truth, summed over expressions: 0 "
        "is perfect, 2 is always sure and wrong.",
    ),
    (
        "Negative log-likelihood",
        "The mean of minus the logarithm of the probability that the truth was given: 0 is "
        "perfect, and to be sure and wrong costs much.",
    ),
)

_GLOSSARY_OF_STREAMS = (
    (
        "Found",
        "An expression is found if a message says it between its onset and half a second after its "
        "end.",
    ),
    ("Delay", "From the onset, when the face begins to move, to the first message that says it."),
    (
        "False alarm",
        "A row of messages that say one expression while it is not shown, nor was up to half a "
        "second before; it counts once, however long, and also when another expression is shown.",
    ),
    (
        "Said in neutral",
        "Of all messages while no expression is shown, the share that says one all the same.",
    ),
    ("Confused", "Expressions during which some message says another one, but for neutral."),
    ("Said before", "Expressions that were said already when they came, by luck."),
)
