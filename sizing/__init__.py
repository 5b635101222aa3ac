"""Planning: memory per device, hours, money and target queries of a campaign before it starts."""
