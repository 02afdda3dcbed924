"""What the notebooks of the course share: session, data, drawing, predictions, checks and explorers.

Nothing is imported here, so that `import course_utils` costs nothing; a notebook imports the modules it uses.
"""
