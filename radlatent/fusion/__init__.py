"""Models on joined features: join, aggregate, select, validate, evaluate.

===========================  ===========================================================
``join``                     features tables side by side
``select_blocks``            columns by block
``block_coverage``           which patients have which blocks
``declare_measured``         blocks of a table of one's own were measured
``delta``                    the change of features between two times
``aggregate``                one row a case -> one row a patient
``lesion_burden``            number, volume and spread of a patient's lesions
``fractional_decrease``      the ejection fraction of a cavity volume
``body_surface``             of height and weight, after Mosteller or Du Bois
``Combat``                   site effects, learned on training patients
``make_folds``               an endpoint -> a **folds** table
``site_folds, read_folds``   a fold a site; folds that were saved
``logistic, svm, forest``    pipelines that fit on training patients only
``boosted``                  gradient-boosted trees
``sign_average``             the strong simple baseline, for classes
``cox, aft``                 proportional hazards, accelerated failure times
``boosted_survival``         gradient-boosted trees for survival
``survival_forest``          a random survival forest
``fine_gray``                how often one of several competing events comes
``cause_specific_cox``       what brings each of them about
``late_fusion``              a model a block, stacked
``ridge, elastic_net``       of numbers, as ``forest(kind="continuous")`` and others
``MODELS, SURVIVAL_MODELS``  all by name; ``CONTINUOUS_MODELS, COMPETING_MODELS``
``Preparation``              what happens to columns before a model
``tune``                     settings chosen on inner folds
``cross_validate``           -> ``Result``: predictions, metrics, folds, fits
``bootstrap_validate``       optimism-corrected and .632+ estimates, beside it
``validate_externally``      a model of one cohort on another
``recalibrate_in_the_large``  the same with the level of predictions moved
``added_value``              what an embedding adds to hand-crafted features
``permute_outcomes``         the same with outcomes of other patients
``learning_curve``           a metric against the number of training patients
``subgroups``                a metric by site, sex or age, and a test of interaction
``suspects``                 columns that are the outcome, patients who are copies
``evaluate``                 a **predictions** table -> a **metrics** table
``compare``                  paired differences of models, with p-values
``roc_curve, confusion``     tables behind figures of classes
``calibration_curve``        predicted against observed
``net_benefit``              decision curves
``kaplan_meier``             survival by group of risk
``cumulative_incidence``     how many have had each of several competing events
``incidence_by_risk``        the same of groups of predicted risk
``residuals``                true minus predicted numbers
``survival_calibration``     predicted against observed at a horizon
``survival_auc_curve``       the AUC over time
``survival_net_benefit``     decision curves of survival
``permutation_importance``   what blocks and features are worth to a model
``shap_values``              what columns contribute to each prediction
``coefficient_shares``       what each column weighs in a linear model
``top_k_shares``             how many of the largest weights are of a block
``univariable``              odds or hazard ratios, one column at a time
``multivariable``            an unpenalized model of few columns
``likelihood_ratio_test``    what columns add to others
``sample_size, study_size``  how many patients a model needs, and has
===========================  ===========================================================
"""

from radlatent.features.aggregate import aggregate, fractional_decrease
from radlatent.features.body import body_surface
from radlatent.features.burden import lesion_burden
from radlatent.features.delta import delta
from radlatent.features.folds import make_folds, read_folds, site_folds
from radlatent.features.join import block_coverage, join, select_blocks
from radlatent.features.origin import declare_measured
from radlatent.fusion.explain.coefficients import coefficient_shares, top_k_shares
from radlatent.fusion.explain.importance import permutation_importance, shap_values
from radlatent.fusion.explain.inference import (
    likelihood_ratio_test,
    multivariable,
    univariable,
)
from radlatent.fusion.explain.sample_size import (
    r_squared_of_auc,
    sample_size,
    study_size,
)
from radlatent.fusion.metrics.calibration import (
    calibration_curve,
    recalibrate_in_the_large,
)
from radlatent.fusion.metrics.compare import compare
from radlatent.fusion.metrics.continuous import residuals
from radlatent.fusion.metrics.decision import net_benefit
from radlatent.fusion.metrics.evaluate import evaluate
from radlatent.fusion.metrics.incidence import cumulative_incidence, incidence_by_risk
from radlatent.fusion.metrics.roc import confusion, roc_curve
from radlatent.fusion.metrics.survival_curves import (
    kaplan_meier,
    survival_auc_curve,
    survival_calibration,
    survival_net_benefit,
)
from radlatent.fusion.models import (
    COMPETING_MODELS,
    CONTINUOUS_MODELS,
    FAMILIES,
    MODELS,
    SURVIVAL_MODELS,
)
from radlatent.fusion.models.classes import boosted, forest, logistic, svm
from radlatent.fusion.models.competing import cause_specific_cox, fine_gray
from radlatent.fusion.models.continuous import elastic_net, ridge
from radlatent.fusion.models.late import late_fusion
from radlatent.fusion.models.prepare import Preparation
from radlatent.fusion.models.survival import (
    aft,
    boosted_survival,
    cox,
    sign_average,
    survival_forest,
)
from radlatent.fusion.steps.combat import Combat
from radlatent.fusion.validation.added import AddedValue, added_value
from radlatent.fusion.validation.bootstrap import Bootstrapped, bootstrap_validate
from radlatent.fusion.validation.inputs import check_inputs, outcome_of
from radlatent.fusion.validation.learning import learning_curve
from radlatent.fusion.validation.permuted import permute_outcomes
from radlatent.fusion.validation.subgroups import subgroups
from radlatent.fusion.validation.suspects import suspects
from radlatent.fusion.validation.tuning import tune
from radlatent.fusion.validation.validate import (
    Result,
    check_external,
    cross_validate,
    validate_externally,
)

__all__ = [
    "COMPETING_MODELS",
    "CONTINUOUS_MODELS",
    "FAMILIES",
    "MODELS",
    "SURVIVAL_MODELS",
    "AddedValue",
    "Bootstrapped",
    "Combat",
    "Preparation",
    "Result",
    "added_value",
    "aft",
    "aggregate",
    "block_coverage",
    "body_surface",
    "boosted",
    "boosted_survival",
    "bootstrap_validate",
    "calibration_curve",
    "cause_specific_cox",
    "check_external",
    "check_inputs",
    "coefficient_shares",
    "compare",
    "confusion",
    "cox",
    "cross_validate",
    "cumulative_incidence",
    "declare_measured",
    "delta",
    "elastic_net",
    "evaluate",
    "fine_gray",
    "forest",
    "fractional_decrease",
    "incidence_by_risk",
    "join",
    "kaplan_meier",
    "late_fusion",
    "learning_curve",
    "lesion_burden",
    "likelihood_ratio_test",
    "logistic",
    "make_folds",
    "multivariable",
    "net_benefit",
    "outcome_of",
    "permutation_importance",
    "permute_outcomes",
    "r_squared_of_auc",
    "read_folds",
    "recalibrate_in_the_large",
    "residuals",
    "ridge",
    "roc_curve",
    "sample_size",
    "select_blocks",
    "shap_values",
    "sign_average",
    "site_folds",
    "study_size",
    "subgroups",
    "survival_auc_curve",
    "survival_calibration",
    "survival_forest",
    "survival_net_benefit",
    "suspects",
    "svm",
    "top_k_shares",
    "tune",
    "univariable",
    "validate_externally",
]
