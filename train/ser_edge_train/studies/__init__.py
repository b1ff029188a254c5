"""Studies: one question, a recipe in several variants, validation speakers alone.

``catalogue`` says which there are, ``planning`` which runs one is made of, ``running``
trains and scores them, ``folder`` keeps what came of it. Nothing here looks at a test part.
"""
