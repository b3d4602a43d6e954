"""What a program computes, before any code: steps, borders, random codes. No process of its own."""
