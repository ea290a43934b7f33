"""Second implementations of the models, which verify the first.

They use only NumPy, in float64, without PyTorch, fused kernels, hooks or batches. Both implementations follow the same
papers (Vaswani et al. 2017; layer norm: Ba et al. 2016; rotary positions: Su et al. 2021) and use the same names of
weights, but they share no code.
"""
