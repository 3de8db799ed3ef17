"""Models on joined features: join, aggregate, select, validate, evaluate.

=======================  ===============================================
``join``                 features tables side by side
``select_blocks``        columns by block
``aggregate``            one row a case -> one row a patient
``fractional_decrease``  the ejection fraction of a cavity volume
``make_folds``           an endpoint -> a **folds** table
``logistic, MODELS``     pipelines that fit on training patients only
``cross_validate``       -> ``Result``: predictions, metrics, folds
``evaluate``             a **predictions** table -> a **metrics** table
``roc_curve``            -> averaged ROC curves with a band
``confusion``            -> counts of true and predicted classes
=======================  ===============================================
"""

from radlatent.fusion.aggregate import aggregate, fractional_decrease
from radlatent.fusion.blocks import join, select_blocks
from radlatent.fusion.curves import confusion, roc_curve
from radlatent.fusion.folds import make_folds
from radlatent.fusion.metrics import evaluate
from radlatent.fusion.models import MODELS, logistic
from radlatent.fusion.validate import Result, check_inputs, cross_validate

__all__ = [
    "MODELS",
    "Result",
    "aggregate",
    "check_inputs",
    "confusion",
    "cross_validate",
    "evaluate",
    "fractional_decrease",
    "join",
    "logistic",
    "make_folds",
    "roc_curve",
    "select_blocks",
]
