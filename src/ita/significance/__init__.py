"""What a difference between two systems is worth: counts per post, resampling, tests over seeds, power, calibration."""
