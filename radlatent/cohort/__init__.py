"""WHO: cohorts of patients, their images, masks and endpoints.

- `Cohort`: a validated cohort, read from a folder with ``cohort.yml``.
- `check`: every problem of the tables and of the files, at once.
- `index`: write the manifest of a known folder layout.
- `Problems`: what both gather before anything is raised.
- `read_given`: a cohort of tables that were measured elsewhere, without images.
- `shared_images`, `shared_values`: patients who have one image.
- `simulate`: write a cohort with a known answer; `simulate_thighs`: thighs with twelve
  muscles and fat in them; `simulate_lesions`: tables of patients with many lesions;
  `simulate_hearts`: beating hearts in an apical view, with and without errors.
"""

from radlatent.cohort.card import EndpointCard
from radlatent.cohort.copies import shared_images, shared_values
from radlatent.cohort.layouts.given import FeatureFile, Given, Outcomes, read_given
from radlatent.cohort.layouts.indexing import LAYOUTS, index
from radlatent.cohort.manifest import Cohort
from radlatent.cohort.preflight import Check, check
from radlatent.cohort.problems import Problems
from radlatent.cohort.simulation.heart import SimulatedHearts, simulate_hearts
from radlatent.cohort.simulation.scattered import SimulatedLesions, simulate_lesions
from radlatent.cohort.simulation.simulate import simulate
from radlatent.cohort.simulation.thigh import simulate_thighs
from radlatent.features.endpoint import Endpoint

__all__ = [
    "LAYOUTS",
    "Check",
    "Cohort",
    "Endpoint",
    "EndpointCard",
    "FeatureFile",
    "Given",
    "Outcomes",
    "Problems",
    "SimulatedHearts",
    "SimulatedLesions",
    "check",
    "index",
    "read_given",
    "shared_images",
    "shared_values",
    "simulate",
    "simulate_hearts",
    "simulate_lesions",
    "simulate_thighs",
]
