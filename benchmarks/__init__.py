"""What the course costs, beside what it is compared with, in one table: `python course.py bench`."""
