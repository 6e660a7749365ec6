"""Networks without output layers: trainnet, testnet, minibatchpredict, and the losses they take."""
