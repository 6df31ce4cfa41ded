"""What only the capstone needs: options and exit codes, runs, training state, signals, processes, plots, a loader."""
