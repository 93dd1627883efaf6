"""Messages of the package in the words of the command line: flags in place of Python's arguments and calls."""

from __future__ import annotations

import re

#: Arguments of Python that are options of ``hierlogit fit``.
OPTIONS = (
    "missing",
    "collinear",
    "family",
    "ci_prob",
    "draws",
    "tune",
    "chains",
    "cores",
    "seed",
    "target_accept",
    "backend",
    "effects",
    "nodes",
    "overwrite",
)
_ENGINE = re.compile(r"\bhl\.(NUTS|Laplace|AGQ|MAP|ImportanceSampling)\(([^()]*)\)")
_WEIGHTS = re.compile(r"\b(?:weights=)?hl\.(Frequency|Sampling)Weights\((?:rows=)?('[^']*')?[^()]*\)")
_CLUSTER_WEIGHTS = re.compile(r"\bSamplingWeights: clusters\b")
_ARGUMENT = re.compile(rf"\b({'|'.join(OPTIONS)})=('[^']*'|\"[^\"]*\"|-?[\w.]+\b)")
#: The other options of the same name are those of pandas.
_READING = re.compile(r"\bRead the file with decimal=(',')")
_READ_CSV = re.compile(r"\bRead it with pandas\.read_csv\((.*?)\) and pass the table")
_TEXT_OPTION = re.compile(r"\b(sep|decimal|encoding)=('[^']*')")
_NAME = re.compile(r"(?<![\w-])(target_accept|ci_prob)(?![\w=])")


def on_command_line(message: str) -> str:
    """The message with engines and options as flags.

    Examples
    --------
    >>> on_command_line("Pass missing='error' to refuse them instead.")
    'Pass --missing error to refuse them instead.'
    >>> on_command_line("Then try hl.AGQ(nodes=25), or raise target_accept.")
    'Then try --engine agq --nodes 25, or raise --target-accept.'
    >>> on_command_line("Read it with pandas.read_csv('rows.csv', sep=';', decimal=',') and pass the table.")
    "Pass --sep ';' --decimal ','."
    >>> on_command_line("If they are weights of a sample, pass weights=hl.SamplingWeights('w').")
    'If they are weights of a sample, pass --sampling-weights w.'
    """
    # Indented lines quote a formula, with marks below it.
    return "\n".join(line if line.startswith("  ") else _translated(line) for line in message.split("\n"))


def _translated(line: str) -> str:
    line = _READING.sub(lambda found: f"Pass --decimal {found[1]}", line)
    line = _READ_CSV.sub(_text_options, line)
    line = _ENGINE.sub(_engine, line)
    line = _WEIGHTS.sub(_weights, line)
    line = _CLUSTER_WEIGHTS.sub("--cluster-weights", line)
    line = _ARGUMENT.sub(lambda found: f"{flag(found[1])} {_plain(found[2])}", line)
    return _NAME.sub(lambda found: flag(found[1]), line)


def _text_options(found: re.Match[str]) -> str:
    options = _TEXT_OPTION.findall(found[1].replace(r"'\t'", "'tab'"))
    return "Pass " + " ".join(f"{flag(name)} {_plain(value)}" for name, value in options)


def _engine(found: re.Match[str]) -> str:
    arguments = found[2].replace(", ", " ")
    name = found[1].lower().removesuffix("sampling")
    return f"--engine {name}{' ' if arguments else ''}{arguments}"


def _weights(found: re.Match[str]) -> str:
    column = f" {_plain(found[2])}" if found[2] else ""
    return f"--{found[1].lower()}-weights{column}"


def _plain(value: str) -> str:
    """The value without Python's quotation marks; those of the shell where it has blanks."""
    inside = value[1:-1] if value[:1] in {"'", '"'} else value
    return inside if re.fullmatch(r"[\w.+-]+", inside) else f"'{inside}'"


def flag(option: str) -> str:
    """The option as it is written on the command line.

    Examples
    --------
    >>> flag("target_accept")
    '--target-accept'
    """
    return f"--{option.replace('_', '-')}"
