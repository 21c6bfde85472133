"""The cells of recurrent layers, over a whole sequence: forwards, and backwards by hand.

Everything in here has its steps first: `(steps, n, …)`, and buffers of states hold the state before the first step too.
The gates of a cell lie side by side: those of a GRU in the order r, z, h, those of an LSTM in the order o, i, f, c, so
that gates which are treated alike are neighbours. What does not depend on the step before is done for all steps at
once; a mask, `(steps, n, 1)`, lets states pass unchanged where it is false.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from engine.activations import ACTIVATIONS

Saved = list[Tensor]


class Act(NamedTuple):
    """An activation `y` of `z`: how it is written into another tensor, and its slope, at ties that of `activations`."""

    into: Callable[[Tensor, Tensor], object]
    slope: Callable[[Tensor, Tensor], Tensor]


def _clip_slope(z: Tensor) -> Tensor:
    return ((z >= 0.0) & (z <= 1.0)).to(z.dtype)


def _copied(name: str) -> Callable[[Tensor, Tensor], object]:
    return lambda z, out: out.copy_(ACTIVATIONS[name](z))


#: The activations that have a slope of their own at every point.
ACTS = {
    "linear": Act(lambda z, out: out.copy_(z), lambda z, y: torch.ones_like(z)),
    "relu": Act(_copied("relu"), lambda z, y: 0.5 * (z.sign() + 1.0)),
    "sigmoid": Act(lambda z, out: torch.sigmoid(z, out=out), lambda z, y: y * (1.0 - y)),
    "hard_sigmoid": Act(_copied("hard_sigmoid"), lambda z, y: 0.2 * _clip_slope(0.2 * z + 0.5)),
    "tanh": Act(lambda z, out: torch.tanh(z, out=out), lambda z, y: 1.0 - y.square()),
    "softplus": Act(_copied("softplus"), lambda z, y: z.sigmoid()),
    "softsign": Act(_copied("softsign"), lambda z, y: (1.0 + z.abs()).square().reciprocal()),
    "keras3_hard_sigmoid": Act(_copied("keras3_hard_sigmoid"), lambda z, y: _clip_slope(z / 6.0 + 0.5) / 6.0),
    "elu": Act(_copied("elu"), lambda z, y: z.clamp(max=0.0).exp()),
}
#: The activations that are a line between two bounds, `clip(scale * z + 0.5, 0, 1)`, by its scale.
CLIPPED = {"hard_sigmoid": 0.2, "keras3_hard_sigmoid": 1.0 / 6.0}
#: What is left of them where the line is done beforehand.
CLIP = Act(lambda z, out: torch.clamp(z, 0.0, 1.0, out=out), lambda z, y: _clip_slope(z))


class Cell(Protocol):
    """One kind of cell over a whole sequence.

    Args:
        activation: Of the new state.
        inner_activation: Of the gates; where it is one of `CLIPPED`, the gates' products come with the line done.
    """

    def __init__(self, activation: str, inner_activation: str) -> None: ...

    def forward(self, z: Tensor, U: Tensor, states: list[Tensor], mask: Tensor | None) -> Saved:
        """Run all steps, given their products with the input; return what to save, the states' buffers first."""
        ...

    def backward(self, grad: Tensor, U: Tensor, saved: Saved, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the gradients of the products with the input and of `U`, given that of all outputs."""
        ...


def buffer(first: Tensor, steps: int) -> Tensor:
    """Return room for a state before and after each step, with the first in its place."""
    buffer = first.new_empty(steps + 1, *first.shape)
    buffer[0] = first
    return buffer


def _kept(new: Tensor, mask: Tensor | None) -> Tensor:
    return new if mask is None else new.masked_fill_(~mask, 0.0)


def _passing(mask: Tensor | None, like: Tensor) -> list[Tensor] | None:
    """Return what share of a state passes each step unchanged."""
    return None if mask is None else list((~mask).to(like.dtype).unbind())


def _gates(x: Tensor, width: int) -> Tensor:
    return x.view(*x.shape[:2], -1, width)


def _slopes(z: Tensor, a: Tensor, sigma: Act, phi: Act, gates: int) -> Tensor:
    """Return the slopes of the gates and of what is after them, side by side."""
    return torch.cat([sigma.slope(z[..., :gates], a[..., :gates]), phi.slope(z[..., gates:], a[..., gates:])], -1)


def flat(x: Tensor) -> Tensor:
    """Put all steps of all samples into one axis."""
    return x.reshape(-1, x.shape[-1])


class SimpleCell:
    """`h = activation(z + h U)`."""

    def __init__(self, activation: str, inner_activation: str) -> None:
        self.phi = ACTS[activation]

    def forward(self, z: Tensor, U: Tensor, states: list[Tensor], mask: Tensor | None) -> Saved:
        hs, z = buffer(states[0], len(z)), z.clone()
        h, *later = hs.unbind()
        masks = None if mask is None else mask.unbind()
        for t, (zt, new) in enumerate(zip(z.unbind(), later, strict=True)):
            self.phi.into(zt.addmm_(h, U), new)
            if masks is not None:
                torch.where(masks[t], new, h, out=new)
            h = new
        return [hs, z]

    def backward(self, grad: Tensor, U: Tensor, saved: Saved, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        hs, z = saved
        dz = _kept(self.phi.slope(z, hs[1:]), mask)
        passing = _passing(mask, grad)
        transposed = U.t()
        grads, dzs = grad.clone().unbind(), dz.unbind()
        dh = grads[-1]
        for t in reversed(range(len(z))):
            dzs[t].mul_(dh)
            if t:
                before = grads[t - 1].addmm_(dzs[t], transposed)
                dh = before if passing is None else before.addcmul_(dh, passing[t])
        return dz, flat(hs[:-1]).t() @ flat(dz)


class GatedCell:
    """`h = z h + (1 - z) activation(x W + (r h) U)`, a GRU's."""

    def __init__(self, activation: str, inner_activation: str) -> None:
        self.phi, self.sigma = ACTS[activation], CLIP if inner_activation in CLIPPED else ACTS[inner_activation]

    def forward(self, z: Tensor, U: Tensor, states: list[Tensor], mask: Tensor | None) -> Saved:
        h, H, z = states[0], len(U), z.clone()
        hs, a, rh = buffer(h, len(z)), torch.empty_like(z), h.new_empty(len(z), *h.shape)
        U_gates, U_new = U[:, : 2 * H], U[:, 2 * H :]
        masks = None if mask is None else mask.unbind()
        inner, outer = z[..., : 2 * H].unbind(), z[..., 2 * H :].unbind()
        gates, r, keep, new = (
            each.unbind() for each in (a[..., : 2 * H], a[..., :H], a[..., H : 2 * H], a[..., 2 * H :])
        )
        h, *later = hs.unbind()
        for t, (product, out) in enumerate(zip(rh.unbind(), later, strict=True)):
            self.sigma.into(inner[t].addmm_(h, U_gates), gates[t])
            if masks is not None:
                keep[t].masked_fill_(~masks[t], 1.0)
            torch.mul(r[t], h, out=product)
            self.phi.into(outer[t].addmm_(product, U_new), new[t])
            h = torch.lerp(new[t], h, keep[t], out=out)
        return [hs, z, a, rh]

    def backward(self, grad: Tensor, U: Tensor, saved: Saved, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        hs, z, a, rh = saved
        H = len(U)
        before = hs[:-1]
        dz = _slopes(z, a, self.sigma, self.phi, 2 * H)
        dz[..., :H] *= before
        dz[..., H : 2 * H] *= before - a[..., 2 * H :]
        dz[..., 2 * H :] *= 1.0 - a[..., H : 2 * H]
        _kept(dz, mask)
        U_gates, U_new = U[:, : 2 * H].t(), U[:, 2 * H :].t()
        r, keep, grads = (each.unbind() for each in (a[..., :H], a[..., H : 2 * H], grad.clone()))
        dr, dkeep, dnew, dgates = (
            each.unbind() for each in (dz[..., :H], dz[..., H : 2 * H], dz[..., 2 * H :], dz[..., : 2 * H])
        )
        dh = grads[-1]
        for t in reversed(range(len(z))):
            dkeep[t].mul_(dh)
            drh = dnew[t].mul_(dh) @ U_new
            dr[t].mul_(drh)
            if t:
                dh = grads[t - 1].addmm_(dgates[t], U_gates).addcmul_(dh, keep[t]).addcmul_(drh, r[t])
        return dz, torch.cat([flat(before).t() @ flat(dz[..., : 2 * H]), flat(rh).t() @ flat(dz[..., 2 * H :])], -1)


class ResetAfterCell:
    """`h = z h + (1 - z) activation(x W + r (h U + c))`, a GRU's in later Keras; `c` is the last row of `U`."""

    def __init__(self, activation: str, inner_activation: str) -> None:
        self.phi, self.sigma = ACTS[activation], CLIP if inner_activation in CLIPPED else ACTS[inner_activation]

    def forward(self, z: Tensor, U: Tensor, states: list[Tensor], mask: Tensor | None) -> Saved:
        h, H, z = states[0], len(U) - 1, z.clone()
        hs, a, back = buffer(h, len(z)), torch.empty_like(z), torch.empty_like(z)
        masks = None if mask is None else mask.unbind()
        inner, outer, gates, r, keep, new = (
            each.unbind()
            for each in (
                *(z[..., : 2 * H], z[..., 2 * H :], a[..., : 2 * H]),
                *(a[..., :H], a[..., H : 2 * H], a[..., 2 * H :]),
            )
        )
        h, *later = hs.unbind()
        for t, (product, out) in enumerate(zip(back.unbind(), later, strict=True)):
            torch.addmm(U[H], h, U[:H], out=product)
            self.sigma.into(inner[t].add_(product[:, : 2 * H]), gates[t])
            if masks is not None:
                keep[t].masked_fill_(~masks[t], 1.0)
            self.phi.into(outer[t].addcmul_(r[t], product[:, 2 * H :]), new[t])
            h = torch.lerp(new[t], h, keep[t], out=out)
        return [hs, z, a, back[..., 2 * H :].contiguous()]

    def backward(self, grad: Tensor, U: Tensor, saved: Saved, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        hs, z, a, back = saved
        H, before = len(U) - 1, hs[:-1]
        dz = _slopes(z, a, self.sigma, self.phi, 2 * H)
        for part, factor in zip(_gates(dz, H).unbind(-2), (back, before - a[..., 2 * H :], None), strict=True):
            part *= 1.0 - a[..., H : 2 * H] if factor is None else factor
        _kept(dz, mask)
        dback, transposed = torch.empty_like(dz), U[:H].t()
        r, keep, grads = (each.unbind() for each in (a[..., :H], a[..., H : 2 * H], grad.clone()))
        dr, dkeep, dnew = (each.unbind() for each in _gates(dz, H).unbind(-2))
        dh = grads[-1]
        for t, product in reversed(list(enumerate(dback.unbind()))):
            dr[t].mul_(dnew[t].mul_(dh))
            dkeep[t].mul_(dh)
            product[:, : 2 * H] = dz[t][:, : 2 * H]
            torch.mul(dnew[t], r[t], out=product[:, 2 * H :])
            if t:
                dh = grads[t - 1].addmm_(product, transposed).addcmul_(dh, keep[t])
        return dz, torch.cat([flat(before).t() @ flat(dback), flat(dback).sum(0, keepdim=True)])


class LongCell:
    """`c = f c + i activation(…)`, `h = o activation(c)`, an LSTM's."""

    def __init__(self, activation: str, inner_activation: str) -> None:
        self.phi, self.sigma = ACTS[activation], CLIP if inner_activation in CLIPPED else ACTS[inner_activation]

    def forward(self, z: Tensor, U: Tensor, states: list[Tensor], mask: Tensor | None) -> Saved:
        H, steps, z = len(U), len(z), z.clone()
        hs, cs = (buffer(each, steps) for each in states)
        a, ac = torch.empty_like(z), torch.empty_like(hs[1:])
        masks = None if mask is None else mask.unbind()
        o, i, f, new = (each.unbind() for each in _gates(a, H).unbind(-2))
        gates, inner, outer = (each.unbind() for each in (a[..., : 3 * H], z[..., : 3 * H], z[..., 3 * H :]))
        (h, *hs_later), (c, *cs_later), acs = hs.unbind(), cs.unbind(), ac.unbind()
        for t, zt in enumerate(z.unbind()):
            zt.addmm_(h, U)
            self.sigma.into(inner[t], gates[t])
            self.phi.into(outer[t], new[t])
            torch.mul(f[t], c, out=cs_later[t]).addcmul_(i[t], new[t])
            self.phi.into(cs_later[t], acs[t])
            torch.mul(o[t], acs[t], out=hs_later[t])
            if masks is not None:
                torch.where(masks[t], cs_later[t], c, out=cs_later[t])
                torch.where(masks[t], hs_later[t], h, out=hs_later[t])
            h, c = hs_later[t], cs_later[t]
        return [hs, cs, z, a, ac]

    def backward(self, grad: Tensor, U: Tensor, saved: Saved, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        hs, cs, z, a, ac = saved
        H = len(U)
        o, i, f, new = _gates(a, H).unbind(-2)
        dz = _slopes(z, a, self.sigma, self.phi, 3 * H)
        for part, factor in zip(_gates(dz, H).unbind(-2), (ac, new, cs[:-1], i), strict=True):
            part *= factor
        _kept(dz, mask)
        through = _kept(o * self.phi.slope(cs[1:], ac), mask).unbind()
        forget = (f if mask is None else f.masked_fill(~mask, 1.0)).unbind()
        passing = _passing(mask, grad)
        transposed = U.t()
        grads, dzs = grad.clone().unbind(), dz.unbind()
        do, dcell = dz[..., :H].unbind(), _gates(dz[..., H:], H).unbind()
        dh, dc = grads[-1], torch.zeros_like(hs[0])
        dc_of_each = dc.unsqueeze(1)
        for t in reversed(range(len(z))):
            dc.addcmul_(dh, through[t])
            do[t].mul_(dh)
            dcell[t].mul_(dc_of_each)
            if t:
                dc.mul_(forget[t])
                before = grads[t - 1].addmm_(dzs[t], transposed)
                dh = before if passing is None else before.addcmul_(dh, passing[t])
        return dz, flat(hs[:-1]).t() @ flat(dz)
