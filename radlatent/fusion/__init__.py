"""Models on joined features: join, aggregate, select, validate, evaluate.

=======================  ===============================================
``join``                 features tables side by side
``select_blocks``        columns by block
``aggregate``            one row a case -> one row a patient
``fractional_decrease``  the ejection fraction of a cavity volume
``make_folds``           an endpoint -> a **folds** table
``logistic, svm``        pipelines that fit on training patients only
``forest, MODELS``       another, and all of them by name
``cross_validate``       -> ``Result``: predictions, metrics, folds
``evaluate``             a **predictions** table -> a **metrics** table
``compare``              paired differences of models, with p-values
``coefficient_shares``   what each column weighs in a linear model
``top_k_shares``         how many of the largest weights are of a block
``roc_curve``            -> averaged ROC curves with a band
``confusion``            -> counts of true and predicted classes
=======================  ===============================================
"""

from radlatent.fusion.aggregate import aggregate, fractional_decrease
from radlatent.fusion.blocks import join, select_blocks
from radlatent.fusion.compare import compare
from radlatent.fusion.curves import confusion, roc_curve
from radlatent.fusion.folds import make_folds
from radlatent.fusion.metrics import evaluate
from radlatent.fusion.models import MODELS, forest, logistic, svm
from radlatent.fusion.shares import coefficient_shares, top_k_shares
from radlatent.fusion.validate import Result, check_inputs, cross_validate

__all__ = [
    "MODELS",
    "Result",
    "aggregate",
    "check_inputs",
    "coefficient_shares",
    "compare",
    "confusion",
    "cross_validate",
    "evaluate",
    "forest",
    "fractional_decrease",
    "join",
    "logistic",
    "make_folds",
    "roc_curve",
    "select_blocks",
    "svm",
    "top_k_shares",
]
