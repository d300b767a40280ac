"""Products and contractions of arrays to the last digit.

An accelerator multiplies matrices of single precision with ten bits of the mantissa (TF32) unless it is told otherwise:
heat currents of a batch of spin chains were wrong by 3e-4 on an H100. All products of the package are therefore written
with these two functions, or with `LayoutMatrix`, which uses them.
"""

import functools as ft
from typing import Any

import jax
import jax.numpy as jnp

from qdbjax._types import AnyArray, Array

WRITTEN_OUT = 8  # largest dimension at which `adjoint_dot` writes out its sums


def dot(*factors: AnyArray) -> Array:
    """The matrix product of two or more arrays, from the left, as `@` broadcasts it."""
    found: Any = factors[0]
    for factor in factors[1:]:
        found = jnp.matmul(found, factor, precision="highest")
    return found


def adjoint_dot(a: Array, b: Array) -> Array:
    """A†B of square matrices, which should both be in memory: sums written out read each entry many times.

    XLA folds the transposition into the product, and on a CPU multiplies such ones one after the other. Of a batch of
    real matrices, one core: d = 8 0.19 µs each, written out 0.03; d = 16 0.55, with Aᵀ in memory 0.32; d = 512 2.6 and
    1.5 ms.
    """
    if a.shape[0] <= WRITTEN_OUT:
        rows = zip(a.conj(), b, strict=True)
        return ft.reduce(jnp.add, (left[:, None] * right[None, :] for left, right in rows))
    left = jnp.swapaxes(a.conj(), 0, 1)
    if jax.default_backend() == "cpu" and not jnp.iscomplexobj(a):
        left = jax.lax.optimization_barrier(left)
    return dot(left, b)


def contract(*operands: Any) -> Array:
    """A sum of products, as `jnp.einsum` understands subscripts and arrays."""
    return jnp.einsum(*operands, precision="highest")
