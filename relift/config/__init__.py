"""Describe a run as frozen settings: read from TOML and presets, validated, written back whole."""

from relift.config.loading import load_config, parse_config, preset_names, read_recorded, to_toml
from relift.config.renamed import with_new_names
from relift.config.sections import (
    BufferConfig,
    Change,
    Config,
    CurriculumConfig,
    OptimizerConfig,
    Section,
    field_changes,
    flatten,
)

__all__ = [
    "BufferConfig",
    "Change",
    "Config",
    "CurriculumConfig",
    "OptimizerConfig",
    "Section",
    "field_changes",
    "flatten",
    "load_config",
    "parse_config",
    "preset_names",
    "read_recorded",
    "to_toml",
    "with_new_names",
]
