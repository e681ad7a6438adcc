"""What the page asks for: one queue, the runs, features and trainings in processes of their own."""
