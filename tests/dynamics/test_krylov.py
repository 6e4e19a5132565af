"""Krylov spaces: numpy and scipy are what they are compared with."""

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import gmres

from analogdp.dynamics.krylov import krylov_space, random_start, ritz_values, solve


def matrices(count: int, size: int, seed: int = 0) -> torch.Tensor:
    return (
        torch.randn(count, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) / size**0.5
    )


def product_with(matrix: torch.Tensor):
    return lambda vector: (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def test_as_many_directions_as_rows_give_all_eigenvalues_of_each_matrix():
    matrix = matrices(3, 12)
    values, residuals = ritz_values(krylov_space(product_with(matrix), random_start(matrix[..., 0]), 12))
    wanted = np.linalg.eigvals(matrix.numpy())
    assert np.allclose(np.sort_complex(values.numpy()), np.sort_complex(wanted), atol=1e-9)
    assert residuals.max() < 1e-9


def test_an_outermost_eigenvalue_is_found_by_few_products_and_the_residual_says_how_well():
    matrix = matrices(2, 150)
    matrix[:, 0, 0] += torch.tensor([4.0, -3.0])
    space = krylov_space(product_with(matrix), random_start(matrix[..., 0]), 30)
    values, residuals = ritz_values(space)
    for index, wanted in enumerate(np.linalg.eigvals(matrix.numpy())):
        outermost = int(values[index].abs().argmax())
        assert values[index, outermost].item() == pytest.approx(wanted[np.abs(wanted).argmax()], rel=1e-9)
        inner, vectors = torch.linalg.eig(space.hessenberg[index, :-1])
        ritz = torch.einsum("mn,mk->nk", space.basis[:-1, index].to(vectors), vectors)
        error = (matrix[index].to(ritz) @ ritz - ritz * inner).norm(dim=0)
        assert error.numpy() == pytest.approx(residuals[index].numpy(), abs=1e-12)


def test_a_nilpotent_matrix_comes_to_its_end():
    matrix = torch.diag(torch.ones(3, dtype=torch.float64), 1)
    matrix = torch.block_diag(matrix, matrix, matrix)
    space = krylov_space(product_with(matrix), random_start(matrix[0]), 12)
    assert space.hessenberg.shape == (5, 4)


@pytest.mark.parametrize("directions", [6, 40])
def test_the_solution_is_the_best_within_the_space_and_exact_in_all_of_it(directions):
    matrix = matrices(2, 40) / 2 + torch.eye(40, dtype=torch.float64)
    right = torch.randn(2, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = solve(product_with(matrix), right, directions)
    for own, wanted, solution in zip(matrix.numpy(), right.numpy(), found.numpy(), strict=True):
        best, _ = gmres(own, wanted, rtol=1e-14, restart=directions, maxiter=1)
        assert solution == pytest.approx(best, abs=1e-9)


def test_the_solution_for_nothing_is_nothing():
    matrix = matrices(2, 5)
    assert not solve(product_with(matrix), torch.zeros(2, 5, dtype=torch.float64)).any()
