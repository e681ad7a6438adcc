"""A refusal as the project's own lines say it: those of others, such as a test's, are no sentences for people."""


def refuse(sentence):
    exec("raise ValueError(sentence)", {"__name__": "maskunet.any", "sentence": sentence})
