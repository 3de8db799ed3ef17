"""What a study file may say of its endpoint."""

import pytest

from radlatent.errors import SchemaError
from radlatent.schema import parse
from radlatent.study.plan import Study

TABLES = {
    "title": "t",
    "features": [{"block": "mr", "file": "mr.csv"}],
    "endpoints": "outcome.csv",
    "models": [{"model": "forest", "blocks": ["mr"]}],
}


def study(endpoint, **keys):
    return parse(TABLES | {"endpoint": endpoint} | keys, Study, source="study.yml")


def test_an_endpoint_is_a_name_or_columns_of_a_kind():
    assert (study("ef").endpoint_name, study("ef").outcome) == ("ef", None)
    plan = study({"kind": "continuous", "column": "ef", "unit": "%"})
    assert plan.endpoint_name == "ef"
    assert (plan.outcome.kind, plan.outcome.unit) == ("continuous", "%")
    years = {"kind": "survival", "time": "t", "event": "e", "unit": "years"}
    assert study(years | {"name": "os"}).endpoint_name == "os"
    assert study(years).endpoint_name == "e"


@pytest.mark.parametrize(
    ("endpoint", "keys", "message"),
    [
        ({"kind": "continous", "column": "ef"}, {}, "found 'continous'"),
        ({"kind": "continuous"}, {}, r"needs \['column'\]"),
        ({"kind": "continuous", "colum": "ef"}, {}, "did you mean 'column'"),
        ({"kind": "survival", "time": "t", "event": "e", "unit": "h"}, {}, "of times"),
        (3, {}, "valid string"),
        ({"kind": "class", "column": "y"}, {"positive": "a"}, "said in endpoint"),
        (
            {"kind": "class", "column": "y"},
            {"cohort": "c", "features": [], "endpoints": None},
            "those of a cohort are in cohort.yml",
        ),
    ],
)
def test_an_endpoint_that_is_half_told_is_refused(endpoint, keys, message):
    with pytest.raises(SchemaError, match=message):
        study(endpoint, **keys)
