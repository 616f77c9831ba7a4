module neonex

go 1.26.0
