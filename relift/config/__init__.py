"""Describe a run as frozen settings: read from TOML and presets, validated, written back whole."""

from relift.config.fields import Change, Section
from relift.config.loading import load_config, parse_config, preset_names, read_recorded, to_toml
from relift.config.renamed import with_new_names
from relift.config.sections import Config, field_changes, flatten
from relift.config.training_sections import BufferConfig, CurriculumConfig, OnlineConfig, OptimizerConfig

__all__ = [
    "BufferConfig",
    "Change",
    "Config",
    "CurriculumConfig",
    "OnlineConfig",
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
