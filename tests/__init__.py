"""The tests of Skerry: unit/ mirrors src/, functional/ and cloud/ run the real thing, support/ is what they share."""
