"""The page's only door: one queue, the runs, and features and trainings in processes of their own."""
