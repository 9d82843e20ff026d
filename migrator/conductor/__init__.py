"""The conductor owns every migration. Start reading at :mod:`migrator.conductor.flow`."""
