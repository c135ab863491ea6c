"""The screens: they show the books and pass an operator's acts on; they decide nothing about money."""
