"""Preprocessing: imputation, scaling and reduction of columns, and its inverse."""
