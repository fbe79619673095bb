"""Hold results of the speed measurements, a JSON file each, with machine, versions and command."""
