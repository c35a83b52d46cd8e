"""What the rules of the pipeline call: settings, inputs and versions of jobs. Standard library only."""
