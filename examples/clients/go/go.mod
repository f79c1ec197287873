module holder

go 1.21
