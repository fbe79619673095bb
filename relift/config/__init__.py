"""Describe a run as frozen settings: read from TOML and presets, validated, written back whole."""

from relift.config.loading import RECIPE_DEFAULTS, load_config, parse_config, preset_names, to_toml
from relift.config.sections import (
    BufferConfig,
    Change,
    Config,
    OptimizerConfig,
    RecipeName,
    Section,
    field_changes,
    flatten,
)

__all__ = [
    "RECIPE_DEFAULTS",
    "BufferConfig",
    "Change",
    "Config",
    "OptimizerConfig",
    "RecipeName",
    "Section",
    "field_changes",
    "flatten",
    "load_config",
    "parse_config",
    "preset_names",
    "to_toml",
]
