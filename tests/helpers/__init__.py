"""What several test files share: cases, tolerances, the engine's tables."""
