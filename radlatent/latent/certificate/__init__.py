"""The certificate: what latent features still say about hand-crafted ones.

==================  ==================================================================
``redundancy``      all estimators of two tables, with intervals and tests
``folded``          the certificate of features that were fitted in folds
``tables``          the tables that enter, checked, and narrowed where they are wide
``evidence``        every estimator's statistics, as observed and permuted
``components``      principal components of the training rows of folds
``reverse``         held-out prediction of hand-crafted features from latent ones
``dependence``      distance correlation, HSIC, mutual information
``prediction``      held-out prediction, linear and by trees
``discriminator``   fresh networks between true and shuffled pairs
``permutations``    orders of patients, and p-values
==================  ==================================================================
"""

__all__ = []
