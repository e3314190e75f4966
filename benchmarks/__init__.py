"""luce against other libraries, answers compared: one runnable command each."""
