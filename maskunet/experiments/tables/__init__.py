"""The paper's tables, made anew: every row trained on one budget, its pictures made and measured."""
