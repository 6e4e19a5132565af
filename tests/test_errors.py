"""Errors and problems as a user reads them."""

import pytest

from analogdp.errors import AnalogdpError, InputError, Problem, RunError, ScenarioError


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("neuron.alpha", "too large", "a.yaml", 3), "a.yaml:3: neuron.alpha: too large"),
        (Problem("neuron.alpha", "too large", "a.yaml"), "a.yaml: neuron.alpha: too large"),
        (Problem("", "the file is empty", "a.yaml"), "a.yaml: the file is empty"),
        (Problem("chips", "too many"), "chips: too many"),
    ],
)
def test_a_problem_names_file_line_and_path_as_far_as_they_are_known(problem, text):
    assert str(problem) == text


def test_a_scenario_error_says_every_problem_in_a_line_of_its_own():
    error = ScenarioError([Problem("a", "one"), Problem("b", "two")])
    assert str(error) == "a: one\nb: two"
    assert [problem.path for problem in error.problems] == ["a", "b"]


@pytest.mark.parametrize(("kind", "code"), [(AnalogdpError, 1), (RunError, 1), (InputError, 2)])
def test_bad_input_ends_with_code_two_and_a_failed_run_with_one(kind, code):
    assert kind("message").exit_code == code
    assert ScenarioError([]).exit_code == InputError.exit_code
