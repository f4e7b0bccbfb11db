module tailscale-control

go 1.26

require tailscale.com v1.102.5
