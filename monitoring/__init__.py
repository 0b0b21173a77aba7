"""What Prometheus and Grafana need: rules, a dashboard, and their tests' way in."""
