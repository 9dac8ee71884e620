"""From the model to what one machine should hold: offers, fragments, merge, generation, plan. All pure."""
