"""The Python API: the words of the command line as functions, each of which calls the workflow of its command."""

from hilum.api.answers import Answers, FilmAnswer
from hilum.api.classifier import FilmClassifier, load
from hilum.api.client import Client
from hilum.api.jobs import adapt, audit, compare, cross_validate, evaluate, train
from hilum.api.results import AdaptResult, AuditResult, CompareResult, EvaluateResult, Result, TrainResult

__all__ = [
    "AdaptResult",
    "Answers",
    "AuditResult",
    "Client",
    "CompareResult",
    "EvaluateResult",
    "FilmAnswer",
    "FilmClassifier",
    "Result",
    "TrainResult",
    "adapt",
    "audit",
    "compare",
    "cross_validate",
    "evaluate",
    "load",
    "train",
]
