"""The networks, one file each. Every file has one public `nn.Module`."""
