"""Ray casting of tabletop scenes: spheres, cubes, cylinders, cones and stacks of disks under one soft light.

Every object lives in a unit frame (radius 1, standing on z = 0); rays are brought into it, so one
intersection per shape serves the picture and the shadows. Only rays that come near an object are tried on it.
Works on any device.
"""

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from maskunet.tabletop.scenes import COLORS, SHAPES, TEXTURES, Scene
from maskunet.tabletop.subjects import STACKS

EYE = (0.0, -6.6, 5.6)
TARGET = (0.0, 0.1, 0.35)
FIELD_OF_VIEW = 31.5  # degrees
LIGHT = (0.0, 0.38, 1.0)
LIGHT_RADIUS = 0.15  # each sub-sample sees another point of the light: a soft shadow
TABLE, HAZE = 0.60, 0.80
CUBE, CYLINDER, CONE_RADIUS, CONE_HEIGHT, HEIGHT = 0.80, 0.80, 0.95, 1.90, 1.60
CELL = 0.62  # of stripes and checks, in radii
MIDDLE, REACH = 0.9, 1.47  # a ball that holds every shape: the height of its middle and its size, in radii
FAR = 1e6
DRAWN = (*SHAPES, *STACKS)


def render(scenes: list[Scene], size: int = 128, samples: int = 2, device: str = "cpu") -> Tensor:
    """Render scenes.

    Args:
        scenes: what stands on the table, up to any number of things each.
        size: pixels along an edge.
        samples: sub-samples along an edge of each pixel.
        device: where to compute.

    Returns:
        (B, 3, size, size) uint8 on the CPU.
    """
    rays = _rays(size, samples, device)
    with torch.no_grad():
        return torch.stack([_picture(_table(scene, device), *rays, samples) for scene in scenes])


def _picture(things: dict[str, Tensor], direction: Tensor, light: Tensor, samples: int) -> Tensor:
    """What is seen along rays (R, 3) from the eye, as (3, size, size) uint8."""
    eye = torch.tensor(EYE, device=direction.device)
    depth, owner = _nearest(things, eye.expand_as(direction), direction)
    table_depth = -eye[2] / direction[:, 2]
    seen = depth < table_depth
    depth = torch.where(seen, depth, table_depth)
    point = eye + depth[:, None] * direction  # (R, 3)
    lit = _lit(things, point, light, torch.where(seen, owner, -1))
    haze = ((depth - 7.0) / 9.0).clamp(0, 0.55)
    image = _toned(_shade_table(point, lit), haze).repeat(3, 1)  # the table is gray
    at = seen.nonzero()[:, 0]
    color = _shade_things(things, owner[at], point[at], direction[at], light[at], lit[at])
    image[:, at] = _toned(color, haze[at, None]).mT
    side = math.isqrt(len(direction))
    image = torch.nn.functional.avg_pool2d(image.unflatten(-1, (side, side)), samples)
    return (image * 255).round().to(torch.uint8).cpu()


def _toned(color: Tensor, haze: Tensor) -> Tensor:
    """Colors as a camera shows them from afar."""
    color = color + haze * (HAZE - color)
    return color.clamp(0, 1).pow(1 / 1.15)


def _rays(size: int, samples: int, device: str) -> tuple[Tensor, Tensor]:
    """Directions (R, 3) through all sub-pixels and, for each, the light's direction (R, 3)."""
    _, forward, right, up, edge = _camera()
    at = (torch.arange(size * samples) + 0.5) / (size * samples) * 2 - 1
    v, u = torch.meshgrid(-at * edge, at * edge, indexing="ij")
    direction = forward + u.reshape(-1, 1) * right + v.reshape(-1, 1) * up
    index = torch.arange(size * samples) % samples
    angle = 2 * math.pi * (index[:, None] * samples + index[None, :]).reshape(-1) / samples**2
    offset = LIGHT_RADIUS * torch.stack((angle.cos(), angle.sin(), torch.zeros_like(angle)), -1)
    light = torch.nn.functional.normalize(torch.tensor(LIGHT) + offset, dim=-1)
    return torch.nn.functional.normalize(direction, dim=-1).to(device), light.to(device)


def project(points: list[tuple[float, float, float]]) -> Tensor:
    """Where world points are seen, (N, 2): right and down, each in [0, 1] inside the picture."""
    eye, forward, right, up, edge = _camera()
    offset = torch.tensor(points) - eye
    depth = offset @ forward
    return torch.stack((offset @ right / depth / edge + 1, 1 - offset @ up / depth / edge), -1) / 2


def _camera() -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    """Eye, forward, right, up, and the half width of the picture at distance 1."""
    eye = torch.tensor(EYE)
    forward = torch.nn.functional.normalize(torch.tensor(TARGET) - eye, dim=0)
    right = torch.tensor((1.0, 0.0, 0.0))
    return eye, forward, right, torch.linalg.cross(right, forward), math.tan(math.radians(FIELD_OF_VIEW / 2))


def _table(scene: Scene, device: str) -> dict[str, Tensor]:
    """The scene's things as tensors (K,), their colors as (K, 3)."""
    rows = torch.tensor([
        (
            DRAWN.index(thing.shape), TEXTURES.index(thing.texture), *COLORS[thing.color],
            thing.x, thing.y, thing.radius, math.cos(thing.yaw), math.sin(thing.yaw),
        )
        for thing in scene
    ], device=device).reshape(len(scene), 10)  # fmt: skip
    table = {name: rows[:, 5 + i] for i, name in enumerate(("x", "y", "radius", "cos", "sin"))}
    return table | {"shape": rows[:, 0].long(), "texture": rows[:, 1].long(), "color": rows[:, 2:5]}


def _to_unit(things: dict[str, Tensor], which: Tensor | slice, vector: Tensor, is_point: bool) -> list[Tensor]:
    """Bring points or directions (N, 3) into the unit frames of things: one for each, or one for all."""
    cos, sin, radius = (things[name][which] for name in ("cos", "sin", "radius"))
    x, y, z = vector.unbind(-1)
    if is_point:
        x, y = x - things["x"][which], y - things["y"][which]
    return [(x * cos + y * sin) / radius, (y * cos - x * sin) / radius, z / radius]


def _hits(things: dict[str, Tensor], k: int, origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Which of the rays (R, 3) come near thing k, and their depths there (N,), FAR where they miss it."""
    radius = things["radius"][k]
    to = (things["x"][k] - origin[:, 0], things["y"][k] - origin[:, 1], MIDDLE * radius - origin[:, 2])
    along = sum(a * b for a, b in zip(to, direction.unbind(-1), strict=True))
    apart = sum(a * a for a in to) - along**2  # squared, from the thing's middle
    near = (apart < (REACH * radius) ** 2).nonzero()[:, 0]
    one = slice(k, k + 1)
    o, d = (_to_unit(things, one, vector[near], vector is origin) for vector in (origin, direction))
    return near, HITS[int(things["shape"][k])](o, d)


def _nearest(things: dict[str, Tensor], origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Depth (R,) of the first hit along each ray, FAR if none, and the thing that was hit."""
    depth = torch.full(direction.shape[:1], FAR, device=direction.device)
    owner = torch.zeros_like(depth, dtype=torch.long)
    for k in range(len(things["shape"])):
        near, t = _hits(things, k, origin, direction)
        closer = t < depth[near]
        depth[near[closer]], owner[near[closer]] = t[closer], k
    return depth, owner


def _lit(things: dict[str, Tensor], point: Tensor, light: Tensor, owner: Tensor) -> Tensor:
    """1 where the light is seen, 0 in shadow, (R,). A convex thing cannot shadow its lit side."""
    lit = torch.ones(point.shape[:1], device=point.device)
    for k in range(len(things["shape"])):
        near, t = _hits(things, k, point, light)
        lit[near[(t < FAR) & (owner[near] != k)]] = 0
    return lit


def _first(near: Tensor, far: Tensor, valid_near: Tensor, valid_far: Tensor) -> Tensor:
    far = torch.where(valid_far & (far > 1e-3), far, FAR)
    return torch.where(valid_near & (near > 1e-3), near, far)


def _roots(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both solutions of a t^2 + 2 b t + c = 0 in rising order, and whether they exist."""
    disc = b * b - a * c
    root = disc.clamp_min(0).sqrt()
    safe = torch.where(a.abs() < 1e-9, 1e-9, a)
    first, second = (-b - root) / safe, (-b + root) / safe
    return torch.minimum(first, second), torch.maximum(first, second), disc > 0


def _hit_sphere(o: list[Tensor], d: list[Tensor]) -> Tensor:
    z = o[2] - 1
    near, far, exist = _roots(
        d[0] ** 2 + d[1] ** 2 + d[2] ** 2,
        o[0] * d[0] + o[1] * d[1] + z * d[2],
        o[0] ** 2 + o[1] ** 2 + z**2 - 1,
    )
    return _first(near, far, exist, exist)


def _slab(o: Tensor, d: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    inverse = 1 / torch.where(d.abs() < 1e-9, 1e-9, d)
    a, b = (low - o) * inverse, (high - o) * inverse
    return torch.minimum(a, b), torch.maximum(a, b)


def _hit_cube(o: list[Tensor], d: list[Tensor]) -> Tensor:
    slabs = [_slab(o[0], d[0], -CUBE, CUBE), _slab(o[1], d[1], -CUBE, CUBE), _slab(o[2], d[2], 0, HEIGHT)]
    near = torch.maximum(torch.maximum(slabs[0][0], slabs[1][0]), slabs[2][0])
    far = torch.minimum(torch.minimum(slabs[0][1], slabs[1][1]), slabs[2][1])
    return _first(near, far, near < far, near < far)


def _hit_disk(o: list[Tensor], d: list[Tensor], radius: float, foot: float, top: float) -> Tensor:
    near, far, exist = _roots(d[0] ** 2 + d[1] ** 2, o[0] * d[0] + o[1] * d[1], o[0] ** 2 + o[1] ** 2 - radius**2)
    low, high = _slab(o[2], d[2], foot, top)
    near, far = torch.maximum(near, low), torch.minimum(far, high)
    return _first(near, far, exist & (near < far), exist & (near < far))


_hit_cylinder = partial(_hit_disk, radius=CYLINDER, foot=0, top=HEIGHT)


def _hit_stack(o: list[Tensor], d: list[Tensor], name: str) -> Tensor:
    return torch.stack([_hit_disk(o, d, *disk[:3]) for disk in STACKS[name]]).amin(0)


def _hit_cone(o: list[Tensor], d: list[Tensor]) -> Tensor:
    slope = CONE_RADIUS / CONE_HEIGHT
    height = CONE_HEIGHT - o[2]
    near, far, exist = _roots(
        d[0] ** 2 + d[1] ** 2 - (slope * d[2]) ** 2,
        o[0] * d[0] + o[1] * d[1] + slope**2 * height * d[2],
        o[0] ** 2 + o[1] ** 2 - (slope * height) ** 2,
    )

    def inside(t: Tensor) -> Tensor:
        z = o[2] + t * d[2]
        return exist & (z > 0) & (z < CONE_HEIGHT)

    return _first(near, far, inside(near), inside(far))


_hits_stacks = (partial(_hit_stack, name=name) for name in STACKS)
HITS = (_hit_sphere, _hit_cube, _hit_cylinder, _hit_cone, *_hits_stacks)  # in the order of DRAWN


def _normals(shape: Tensor, p: list[Tensor]) -> list[Tensor]:
    """Unit-frame normals (N,) x 3 at unit-frame points, for each one's own shape."""
    x, y, z = p
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    ax, ay, az = x.abs() / CUBE, y.abs() / CUBE, (z - HEIGHT / 2).abs() / (HEIGHT / 2)
    face_x, face_y = (ax >= ay) & (ax >= az), (ay > ax) & (ay >= az)
    cube = (
        torch.where(face_x, x.sign(), zero),
        torch.where(face_y, y.sign(), zero),
        torch.where(face_x | face_y, zero, one),
    )
    cap = z > HEIGHT - 1e-3
    cylinder = (torch.where(cap, zero, x), torch.where(cap, zero, y), torch.where(cap, one, zero))
    ring = (x**2 + y**2).sqrt().clamp_min(1e-6)
    cone = (x / ring, y / ring, one * CONE_RADIUS / CONE_HEIGHT)
    sphere = (x, y, z - 1)
    mixed = [
        torch.where(shape == 0, s, torch.where(shape == 1, b, torch.where(shape == 2, c, k)))
        for s, b, c, k in zip(sphere, cube, cylinder, cone, strict=True)
    ]
    for of_it, on_top, _ in _disks(shape, z):
        side_or_top = (torch.where(on_top, zero, x), torch.where(on_top, zero, y), torch.where(on_top, one, zero))
        mixed = [torch.where(of_it, new, old) for new, old in zip(side_or_top, mixed, strict=True)]
    length = (mixed[0] ** 2 + mixed[1] ** 2 + mixed[2] ** 2).sqrt().clamp_min(1e-6)
    return [m / length for m in mixed]


def _disks(shape: Tensor, z: Tensor) -> Iterator[tuple[Tensor, Tensor, str]]:
    """Of every disk of a stack: which of the points (N,) lie on it, and which on its top; and its color."""
    for number, disks in enumerate(STACKS.values(), len(SHAPES)):
        above = shape == number
        if not above.any():
            continue
        for _, _, top, color in disks:
            yield above & (z <= top + 1e-3), z > top - 1e-3, color
            above = above & (z > top + 1e-3)


def _pattern(texture: Tensor, color: Tensor, p: list[Tensor]) -> Tensor:
    """Albedo (N, 3): stripes mix in white, checks a dark tone. Slanted, so no face aliases."""
    stripe = ((p[2] + 0.45 * p[0] + 0.2 * p[1]) / CELL).frac().abs() > 0.5
    check = sum(((v / CELL) + shift).floor() for v, shift in zip(p, (0.5, 0.5, 0.27), strict=True)) % 2 > 0.5
    color = torch.where(((texture == 2) & stripe)[..., None], 0.93, color)
    return torch.where(((texture == 3) & check)[..., None], color * 0.22, color)


def _colors(color: Tensor, shape: Tensor, z: Tensor) -> Tensor:
    """The things' colors (N, 3), where one is a stack its disks'."""
    for of_it, _, name in _disks(shape, z):
        color = torch.where(of_it[:, None], color.new_tensor(COLORS[name]), color)
    return color


def _shade_things(
    things: dict[str, Tensor], owner: Tensor, point: Tensor, direction: Tensor, light: Tensor, lit: Tensor
) -> Tensor:
    """The colors (N, 3) of points (N, 3) on their owners, seen along `direction`."""
    p = _to_unit(things, owner, point, True)
    shape, texture = things["shape"][owner], things["texture"][owner]
    nx, ny, nz = _normals(shape, p)
    cos, sin = things["cos"][owner], things["sin"][owner]
    normal = torch.stack((nx * cos - ny * sin, nx * sin + ny * cos, nz), -1)
    albedo = _pattern(texture, _colors(things["color"][owner], shape, p[2]), p)
    toward = (normal * light).sum(-1).clamp_min(0) * lit
    reflected = direction - 2 * (direction * normal).sum(-1, keepdim=True) * normal
    shine = (reflected * light).sum(-1).clamp_min(0)
    metal = texture == 1
    occlusion = 0.65 + 0.35 * p[2].clamp(0, 0.6) / 0.6  # the table takes light from the foot
    diffuse = occlusion * (0.50 + 0.10 * nz) + 0.55 * toward
    sky = 0.25 + 0.75 * torch.sigmoid(9 * (reflected[..., 2] - 0.25))
    body = torch.where(metal[..., None], albedo * (0.45 * diffuse + 0.75 * sky)[..., None], albedo * diffuse[..., None])
    highlight = torch.where(metal, 0.9 * shine**22, 0.28 * shine**26) * lit
    return body + highlight[..., None]


def _shade_table(point: Tensor, lit: Tensor) -> Tensor:
    falloff = 1.06 - 0.025 * (point[..., 0] ** 2 + (point[..., 1] + 0.5) ** 2)
    return TABLE * falloff.clamp_min(0.6) * (0.52 + 0.48 * lit)
