"""ComBat: what sites add to features is learned on training patients and taken out.

Features by patient and the site of each enter; the same table leaves, each column moved
and scaled as if it came from one site. What is learned can be read in a table.
"""

import logging

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from radlatent.errors import SchemaError

__all__ = ["Combat"]

_log = logging.getLogger(__name__)

#: The relative change at which the published programs stop.
_TOLERANCE = 1e-4

#: The published programs have no limit; ten steps are many.
_STEPS = 1000

#: A residual variance below this share of the mean square is rounding.
_ROUNDING = 1e-24

#: Columns whose likelihoods are held at once: 64 x 20,000 numbers are 10 MB.
_BLOCK = 64


class Combat(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Take out what sites add to the mean and the spread of each column.

    The first step of a pipeline, before missing values are filled in. ``fit`` sees the
    training patients only; ``transform`` uses what it learned and learns nothing.

    Parameters
    ----------
    site
        Site by patient: index ``patient_id``, of training and of new patients. Whoever
        is not among them is of an unknown site, which no training patient may be.
    covariates
        One row a patient, one column an effect to preserve, such as age; None for none.
        Numbers are taken as numbers, texts as categories. Never the outcome: it is not
        known of new patients, and its effect would be kept in those it is learned on.
    parametric
        Normal and inverse gamma priors (True), or those that the columns make up
        themselves (False; time grows with the square of their number).
    mean_only
        Whether the spread of sites is left as it is.
    empirical_bayes
        Whether the estimates of a column are drawn towards those of all columns.
    reference
        The site that others are brought to, and that stays as it is; None brings all to
        their mean.
    unseen
        What to do with new patients of a site that no training patient is from, or of
        an unknown one: "error" refuses and names them; "pool" takes them as drawn from
        all sites together, so that their values stay as they are.

    Attributes
    ----------
    site_effects_
        ``site, column, n, shift, ratio``: what is subtracted, in the unit of the
        column, and by what the distance to the mean is divided, from ``n`` training
        patients of the site with a value.
    sites_
        The sites of the training patients.

    Raises
    ------
    SchemaError
        Patients have no site or no covariate, a site is unseen, there is one site only,
        or covariates say what sites say. Everything wrong is listed at once.

    Notes
    -----
    The model of a column is mean + covariates x slopes + pooled SD x (shift + error x
    ratio), with a shift and a ratio a site. Missing stays missing, and each column is
    fitted on the patients that have a value: as if it had been harmonized without the
    others, but for the priors. A site with fewer than two values in a column has no
    spread to estimate; with one training patient in all, only its mean is moved, with
    shrinkage. Without ``empirical_bayes`` such a site is refused, as its patient would
    become the mean. Columns that are constant, or have too few values for the
    covariates, stay as they are.

    Published programs are followed in three choices: the iteration over all columns
    ends where no estimate changes by more than 1e-4; ``mean_only`` shrinks as if a site
    had one patient; and a column that does not vary inside sites takes the median
    variance of the others. On the 71 published outputs of the programs in R and Python
    (neuroCombat) and Matlab this class is within 5e-13 of R and Python, which agree in
    every variant, and of the nonparametric Matlab. The parametric Matlab differs from
    R by up to 2e-4 (values from -3 to 16): it stops at a change of 1e-3, and with that
    it is met as well. R and Python are followed.

    References
    ----------
    Johnson et al. 2007, doi:10.1093/biostatistics/kxj037; Fortin et al. 2018,
    doi:10.1016/j.neuroimage.2017.11.024

    Examples
    --------
    >>> patients = pd.Index(list("abcdef"), name="patient_id")
    >>> site = pd.Series(["x", "x", "x", "y", "y", "y"], patients)
    >>> table = pd.DataFrame({"ct__mean": [1.0, 2, 3, 11, 12, 13]}, patients)
    >>> out = Combat(site, mean_only=True, empirical_bayes=False).fit_transform(table)
    >>> out["ct__mean"].round(6).tolist()
    [6.0, 7.0, 8.0, 6.0, 7.0, 8.0]
    """

    def __init__(
        self,
        site: pd.Series,
        *,
        covariates: pd.DataFrame | None = None,
        parametric: bool = True,
        mean_only: bool = False,
        empirical_bayes: bool = True,
        reference: str | None = None,
        unseen: str = "error",
    ):
        self.site = site
        self.covariates = covariates
        self.parametric = parametric
        self.mean_only = mean_only
        self.empirical_bayes = empirical_bayes
        self.reference = reference
        self.unseen = unseen

    def fit(self, X: pd.DataFrame, y=None) -> "Combat":
        """Learn what the sites of the patients in ``X``, the training patients, add."""
        values, site = self._enter(X, reset=True)
        self.sites_ = sorted(set(site), key=str)
        members = np.array([site == name for name in self.sites_], dtype=float)
        self._check_sites(members.sum(axis=1))
        self.levels_ = self._levels(X.index)
        effects = self._effects(X.index)
        self.center_ = effects.mean(axis=0)
        effects = effects - self.center_
        self._check_design(members, effects)
        self._standardize(values, members, effects)
        present = np.isfinite(values)
        scaled = np.where(present, (values - self._expected(effects)) / self.sd_, 0.0)
        counts = members @ present  # (n_sites, n_columns)
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = members @ scaled / counts
            squares = members @ scaled**2 - counts * shift**2
            spread = squares / (counts - 1)
        # a site that does not vary, or with one value, has no spread of its own
        spread = np.where(spread > _ROUNDING, spread, 1.0)
        self._shrink(counts, shift, np.maximum(squares, 0.0), spread)
        self.site_effects_ = self._table(counts)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return ``X`` without what the sites of its patients add."""
        check_is_fitted(self)
        values, site = self._enter(X, reset=False)
        silent = pd.isna(site)
        if silent.any():
            _log.warning(
                "Combat leaves %d patients as they are, whose site is not known: %s",
                silent.sum(),
                [*X.index[silent][:5]],
            )
        unseen = sorted(set(site[~silent]) - set(self.sites_), key=str)
        if unseen and self.unseen == "error":
            msg = (
                f"sites {unseen[:5]} have no training patient; known are "
                f"{self.sites_[:10]}. Make folds with patients of every site in "
                "training, or leave their values as they are with unseen='pool'."
            )
            raise SchemaError(msg)
        expected = self._expected(self._effects(X.index) - self.center_)
        out = values.copy()
        for place, name in enumerate(self.sites_):
            rows = np.flatnonzero(site == name)
            if name == self.reference:
                continue
            scaled = (values[rows] - expected[rows]) / self.sd_ - self.shift_[place]
            moved = scaled / self.ratio_[place] * self.sd_ + expected[rows]
            out[rows] = np.where(self.fitted_, moved, values[rows])
        return pd.DataFrame(out, X.index, X.columns)

    def _enter(self, X, *, reset):
        """Return values and sites of the patients, or raise what is wrong with them."""
        if not isinstance(X, pd.DataFrame):
            msg = (
                f"X is {type(X).__name__}, not a DataFrame indexed by patient_id. Make "
                "Combat the first step, so that it knows whose site it needs."
            )
            raise SchemaError(msg)
        problems = []
        if self.unseen not in ("error", "pool"):
            problems.append(f"unseen is {self.unseen!r}, not 'error' or 'pool'")
        tables = {"site": pd.DataFrame({"site": self.site})}
        if self.covariates is not None:
            tables["covariates"] = self.covariates
        for name, table in tables.items():
            if not table.index.is_unique:
                problems.append(f"{name} has patients more than once")
                continue
            empty = X.index[table.reindex(X.index).isna().any(axis=1)]
            # of new patients the site may be unknown
            new = name == "site" and not reset
            if len(empty) and not (new and self.unseen == "pool"):
                what = f"{len(empty)} patients lack {name}: {[*empty[:5]]}"
                hint = " (unseen='pool' leaves them as they are)" if new else ""
                problems.append(what + hint)
        if problems:
            raise SchemaError("Combat: " + "; ".join(problems) + ".")
        options = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}
        values = validate_data(self, X, reset=reset, **options)
        return values, self.site.reindex(X.index).to_numpy(dtype=object)

    def _check_sites(self, sizes):
        problems = []
        single = [s for s, n in zip(self.sites_, sizes, strict=True) if n == 1]
        if len(self.sites_) < 2:
            problems.append(f"all training patients are from {self.sites_}")
        if single and not self.empirical_bayes:
            problems.append(f"sites {single[:5]} have one training patient each")
        if self.reference is not None and self.reference not in self.sites_:
            problems.append(
                f"the reference {self.reference!r} has no training patient; sites are "
                f"{self.sites_[:10]}"
            )
        if self.reference in single:
            problems.append(f"the reference {self.reference!r} has one patient only")
        if problems:
            msg = "Combat: " + "; ".join(problems)
            raise SchemaError(msg + ". Join or leave out small sites, or drop Combat.")

    def _levels(self, patients):
        """Return the categories of each covariate of text, in training."""
        if self.covariates is None:
            return {}
        table = self.covariates.loc[patients]
        texts = [c for c in table if not pd.api.types.is_numeric_dtype(table[c])]
        return {c: sorted(table[c].unique()) for c in texts}

    def _effects(self, patients):
        """Return the covariates of patients as numbers, (n_patients, n_effects)."""
        if self.covariates is None:
            return np.empty((len(patients), 0))
        parts, unknown = [], []
        for column, values in self.covariates.loc[patients].items():
            if column not in self.levels_:
                parts.append(values.to_numpy(dtype=float))
                continue
            first, *others = self.levels_[column]
            parts += [(values == level).to_numpy(dtype=float) for level in others]
            new = set(values) - {first, *others}
            unknown += [f"{column} {value!r}" for value in sorted(new)]
        if unknown:
            msg = (
                f"covariates: {unknown[:5]} of no training patient. Join rare "
                "categories, or make other folds."
            )
            raise SchemaError(msg)
        return np.column_stack(parts)

    def _check_design(self, members, effects):
        rank, n_sites = np.linalg.matrix_rank, len(members)
        design = np.column_stack([members.T, effects])
        if rank(design) < design.shape[1]:
            same = [
                place
                for place, effect in enumerate(effects.T)
                if rank(np.column_stack([members.T, effect])) == n_sites
            ]
            names = [c for c in self.covariates for _ in self.levels_.get(c, "ab")[1:]]
            what = (
                f"{sorted({names[place] for place in same})} follow from the site"
                if same
                else f"{list(self.covariates)} follow from each other and the site"
            )
            msg = (
                f"Combat: covariates {what}, so that their effects cannot be told "
                f"apart in {len(design)} training patients. Leave covariates out."
            )
            raise SchemaError(msg)

    def _standardize(self, values, members, effects):
        """Find mean, slopes and pooled SD of each column, on patients with a value."""
        n_columns = values.shape[1]
        self.mean_, variance = np.zeros(n_columns), np.zeros(n_columns)
        self.slopes_ = np.zeros((effects.shape[1], n_columns))
        self.fitted_ = np.zeros(n_columns, dtype=bool)
        base = np.array([self.reference in (None, name) for name in self.sites_])
        # columns that are missing in the same patients have one design
        patterns, which = np.unique(np.isfinite(values), axis=1, return_inverse=True)
        order = np.argsort(which, kind="stable")
        ends = np.searchsorted(which[order], np.arange(1, patterns.shape[1]))
        for rows, columns in zip(patterns.T, np.split(order, ends), strict=True):
            part, inside = values[np.ix_(rows, columns)], members[:, rows]
            found = _least_squares(part, inside, effects[rows], base)
            if found is not None:
                self.mean_[columns], self.slopes_[:, columns], variance[columns] = found
                self.fitted_[columns] = np.ptp(part, axis=0) > 0
        some = variance[self.fitted_ & (variance > 0)]
        usual = np.median(some) if len(some) else 1.0
        self.sd_ = np.sqrt(np.where(variance > 0, variance, usual))
        if not self.fitted_.all():
            _log.info("Combat leaves %d columns as they are", (~self.fitted_).sum())

    def _expected(self, effects):
        return self.mean_ + effects @ self.slopes_

    def _shrink(self, *moments):
        """Set shift and ratio of each site and column, (n_sites, n_columns)."""
        self.shift_, self.ratio_ = np.zeros_like(moments[1]), np.ones_like(moments[1])
        fitted = self.fitted_
        if self.empirical_bayes and fitted.sum() < 2:
            msg = (
                f"Combat: {fitted.sum()} of {len(fitted)} columns vary and have enough "
                "values, and empirical Bayes learns from many. Give more columns, or "
                "empirical_bayes=False."
            )
            raise SchemaError(msg)
        for place, name in enumerate(self.sites_):
            if name != self.reference:
                parts = (table[place, fitted] for table in moments)
                shift, spread = self._posterior(*parts)
                self.shift_[place, fitted] = shift
                self.ratio_[place, fitted] = np.sqrt(spread)

    def _posterior(self, n, shift, squares, spread):
        """Return shift and spread, each (n_columns,), of one site."""
        known, single = n > 0, (n > 1).sum() < 2
        if self.mean_only:
            spread = np.ones_like(spread)
        if not self.empirical_bayes or known.sum() < 2:
            return np.where(known, shift, 0.0), spread
        center, width = shift[known].mean(), shift[known].var(ddof=1)
        shift = np.where(known, shift, center)
        if not self.parametric:
            return _columns_posterior(n, shift, squares, spread)
        if self.mean_only or single:
            return (width * shift + center) / (width + 1), np.ones_like(spread)
        return _normal_posterior(n, shift, squares, spread, center, width)

    def _table(self, n):
        fitted = self.fitted_
        columns = self.feature_names_in_[fitted]
        keys = {"site": np.repeat(self.sites_, len(columns))}
        keys |= {"column": np.tile(columns, len(self.sites_))}
        parts = {"n": n.astype(int), "shift": self.shift_ * self.sd_}
        parts |= {"ratio": self.ratio_}
        return pd.DataFrame(keys | {k: v[:, fitted].ravel() for k, v in parts.items()})


def _least_squares(part, inside, effects, base):
    """Return mean, slopes and residual variance of columns, None if not to be had.

    ``part`` is (n_patients, n_columns), ``inside`` (n_sites, n_patients), ``base`` says
    of which sites mean and variance are.
    """
    known = inside.any(axis=1)
    anchor = inside[base].any(axis=0)
    design = np.vstack([inside[known], effects.T]).T
    if anchor.sum() < 2 or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    weights = np.linalg.lstsq(design, part)[0]
    share = (inside.sum(axis=1) * base)[known] / anchor.sum()
    variance = ((part - design @ weights)[anchor] ** 2).mean(axis=0)
    variance[variance <= _ROUNDING * (part**2).mean(axis=0)] = 0.0
    return share @ weights[: len(share)], weights[len(share) :], variance


def _normal_posterior(n, shift, squares, spread, center, width):
    """Iterate posterior means under a normal and an inverse gamma prior."""
    mean, scatter = spread.mean(), max(spread.var(ddof=1), _ROUNDING)
    a = 2 + mean**2 / scatter
    old, old_spread = shift, spread
    for _ in range(_STEPS):
        new = (n * width * shift + old_spread * center) / (n * width + old_spread)
        sums = squares + n * (shift - new) ** 2
        new_spread = (sums / 2 + mean * (a - 1)) / (n / 2 + a - 1)
        still = np.abs(new - old) <= _TOLERANCE * np.abs(old)
        still &= np.abs(new_spread - old_spread) <= _TOLERANCE * old_spread
        old, old_spread = new, new_spread
        if still.all():
            break
    return old, old_spread


def _columns_posterior(n, shift, squares, spread):
    """Average over the estimates of the other columns, weighted by likelihood."""
    moved, spreads = np.empty_like(shift), np.empty_like(spread)
    donors = np.flatnonzero(n > 0)
    for start in range(0, len(n), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(n)))
        apart = (
            squares[rows, None]
            + n[rows, None] * (shift[rows, None] - shift[donors]) ** 2
        )  # (n_rows, n_donors)
        chance = -apart / spread[donors] - n[rows, None] * np.log(spread[donors])
        chance[rows[:, None] == donors] = -np.inf
        chance = softmax(chance / 2, axis=1)
        moved[rows], spreads[rows] = chance @ shift[donors], chance @ spread[donors]
    return moved, spreads
