"""How Keras makes layers, for variants of networks whose authors use it."""

import torch
from torch import nn

EPSILON, MOMENTUM = 1e-3, 0.01  # BatchNorm's; Keras calls the momentum 0.99


@torch.no_grad()
def as_keras(network: nn.Module) -> None:
    """Give a network, in place, Keras's first weights and its BatchNorm.

    Weights are Glorot's uniform ones, biases 0; of an LSTM recurrent weights are orthogonal, the
    forget gate's bias is 1, and there is one vector of biases: torch's second is fixed at 0.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.eps, module.momentum = EPSILON, MOMENTUM
        elif isinstance(module, nn.Conv1d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.LSTM):
            _of_lstm(module)


def _of_lstm(module: nn.LSTM) -> None:
    of_input, recurrent, bias, second_bias = module.parameters()
    nn.init.xavier_uniform_(of_input)
    for gate in recurrent.chunk(4):
        nn.init.orthogonal_(gate)
    bias.zero_()
    bias.chunk(4)[1].fill_(1.0)  # torch's gates: input, forget, cell, output
    second_bias.zero_().requires_grad_(False)
