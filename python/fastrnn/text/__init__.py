"""Character models: vocabulary, `CharLM`, sampling."""

from fastrnn.text.char_lm import CharLM
from fastrnn.text.sampling import probabilities, sample
from fastrnn.text.split import split_text
from fastrnn.text.vocabulary import Vocabulary

__all__ = ["CharLM", "Vocabulary", "probabilities", "sample", "split_text"]
