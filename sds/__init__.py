"""What a prior wants: score distillation, separation, and the models behind them."""
