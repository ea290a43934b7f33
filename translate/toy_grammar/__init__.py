"""The grammar that `translate.toy` draws its sentences from."""
